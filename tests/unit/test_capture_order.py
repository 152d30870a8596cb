"""Any way in which frames may come into sockets and be read: what goes on is in the order of times."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st

from lab.capture import Frame
from lab.captureorder import HOLD_S, InOrder

BATCH = 3
PLACES = 3
HOLD_NS = int(HOLD_S * 1e9)


@dataclass(frozen=True)
class Passing:
    """A frame that passes `place`: it gets its time at time_ns, and is in the socket after delay_ns."""

    place: int
    time_ns: int
    delay_ns: int


@dataclass
class Sockets:
    """The kernel's side. number tells frames apart; each is read once."""

    passing: list[Passing]
    read: set[int] = field(default_factory=set)

    def waiting(self, place: int, now_ns: int) -> list[int]:
        """Frames in a socket, those first that came first."""
        there = [
            number
            for number, one in enumerate(self.passing)
            if one.place == place and one.time_ns + one.delay_ns <= now_ns and number not in self.read
        ]
        return sorted(there, key=lambda number: self.passing[number].time_ns + self.passing[number].delay_ns)

    def take(self, place: int, now_ns: int) -> tuple[list[Frame], bool]:
        """A batch of them, and whether it was all."""
        there = self.waiting(place, now_ns)
        self.read |= set(there[:BATCH])
        frames = [
            Frame(place, self.passing[number].time_ns, number.to_bytes(2, "big"), 2, "inbound")
            for number in there[:BATCH]
        ]
        return frames, len(there) < BATCH


passings = st.lists(
    st.builds(
        Passing,
        st.integers(0, PLACES - 1),
        st.integers(1, 10 * HOLD_NS),
        st.one_of(st.just(0), st.just(HOLD_NS - 1), st.integers(0, HOLD_NS - 1)),
    ),
    max_size=40,
)
# From one look to the next, and from the look to the reading of each place.
looks = st.lists(
    st.tuples(
        st.one_of(st.integers(0, HOLD_NS // 10), st.integers(0, 3 * HOLD_NS)),
        st.lists(st.integers(0, HOLD_NS), min_size=PLACES, max_size=PLACES),
    ),
    max_size=40,
)


def look(sockets: Sockets, order: InOrder, now_ns: int, lasts_ns: list[int]) -> tuple[list[Frame], int]:
    """One turn of a capture: which places have any, then these one by one; what goes on, and the time."""
    looked_ns = now_ns
    ready = [place for place in range(PLACES) if sockets.waiting(place, now_ns)]
    frames: list[Frame] = []
    behind = []
    for place in ready:
        now_ns += lasts_ns[place]
        taken, all_of_it = sockets.take(place, now_ns)
        frames += taken
        if not all_of_it:
            behind.append(taken[-1].time_ns)
    frames.sort(key=lambda frame: frame.time_ns)
    return order.take(frames, looked_ns / 1e9, now_ns / 1e9, min(behind, default=None)), now_ns


@example(
    # The second frame of place 0 passes while the read goes on; an older one gets there after the next look.
    [Passing(0, 1, 0), Passing(0, HOLD_NS // 2, 0), Passing(1, HOLD_NS // 2 - 1, HOLD_NS - 1)],
    [(1, [HOLD_NS // 2, 0, 0]), (HOLD_NS // 2 + 1, [0, 0, 0]), (2 * HOLD_NS, [0, 0, 0])],
)
@given(passings, looks)
def test_any_interleaving_comes_out_in_order_and_nothing_is_lost_or_doubled(
    passing: list[Passing], turns: list[tuple[int, list[int]]]
) -> None:
    sockets, order = Sockets(passing), InOrder()
    given_on: list[Frame] = []
    now_ns = 0
    for pause_ns, lasts_ns in turns:
        gone, now_ns = look(sockets, order, now_ns + pause_ns, lasts_ns)
        given_on += gone
    # The capture ends: the sockets are read until nothing is left.
    now_ns = max(now_ns, 12 * HOLD_NS)
    while len(sockets.read) < len(passing):
        gone, now_ns = look(sockets, order, now_ns, [0] * PLACES)
        given_on += gone
    given_on += order.rest()
    times = [frame.time_ns for frame in given_on]
    assert times == sorted(times)
    assert sorted(int.from_bytes(frame.data, "big") for frame in given_on) == list(range(len(passing)))


@given(passings, looks)
def test_what_an_earlier_read_gave_has_gone_on_as_soon_as_it_is_due(
    passing: list[Passing], turns: list[tuple[int, list[int]]]
) -> None:
    sockets, order = Sockets(passing), InOrder()
    now_ns = 0
    for pause_ns, lasts_ns in turns:
        _, now_ns = look(sockets, order, now_ns + pause_ns, lasts_ns)
    due_s = order.due_s(now_ns / 1e9)
    assert (due_s is None) == (not order.holds(10 * HOLD_NS))
    assert due_s is None or due_s < 1.01 * HOLD_S
    # No traffic any more: what waits here goes on by itself.
    held = order.take((), now_ns / 1e9 + 1.01 * HOLD_S, now_ns / 1e9 + 1.01 * HOLD_S)
    assert (due_s is None) == (not held)
    assert order.due_s(now_ns / 1e9) is None
    assert order.rest() == []


def frame(time_ns: int) -> Frame:
    return Frame(0, time_ns, b"", 0, "inbound")


def test_a_frame_waits_for_an_older_one_of_the_next_read() -> None:
    order = InOrder()
    assert order.take([frame(20)], 1.0, 1.0) == []
    assert order.take([frame(10)], 1.001, 1.001) == []
    assert order.take([], 1.0 + 1.5 * HOLD_S, 1.1) == [frame(10), frame(20)]


def test_frames_wait_for_a_place_that_has_more_than_is_read_at_once() -> None:
    order = InOrder()
    second = 1_000_000_000
    order.take([frame(5 * second)], 1.0, 1.0)
    assert order.take([frame(second), frame(2 * second)], 2.0, 2.0, 2 * second) == [frame(second)]
    # The last read left none behind: only what it gave itself has to wait, unless it is older than the rest.
    assert order.take([frame(3 * second)], 3.0, 3.0) == [frame(number * second) for number in (2, 3, 5)]


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    order = InOrder()
    assert order.take([frame(10**18)], 1.0, 1.0) == []
    assert order.take([frame(5)], 1.0, 1.001) == []
    assert order.take([], 1.0 + 2 * HOLD_S, 2.0) == [frame(5), frame(10**18)]
    assert order.due_s(2.0) is None
    assert order.take([frame(6)], 2.0, 2.0) == []
    assert order.take([], 2.0 + 2 * HOLD_S, 3.0) == [frame(6)]
