"""csrc/impair.h and csrc/schedule.h with a clock that the test turns."""

from __future__ import annotations

from edge.fastpath import _impair
from tests import impair_oracle, schedule_oracle

ffi, lib = _impair.ffi, _impair.lib


def impairment(settings: impair_oracle.Settings):
    """struct edge_impairment with these settings."""
    names = impair_oracle.Settings.__dataclass_fields__
    return ffi.new("struct edge_impairment *", {name: getattr(settings, name) for name in names})


class Wire:
    """struct edge_impair."""

    def __init__(self, settings: impair_oracle.Settings, places: int) -> None:
        self._bench = ffi.gc(
            lib.edge_impair_bench_new(impairment(settings), places), lib.edge_impair_bench_free
        )

    def set(self, settings: impair_oracle.Settings) -> None:
        lib.edge_impair_bench_set(self._bench, impairment(settings))

    def offer(self, now: int, octets: int, frame: int) -> int:
        return lib.edge_impair_bench_offer(self._bench, now, octets, frame)

    def take(self, now: int) -> int | None:
        frame = ffi.new("uint64_t *")
        return frame[0] if lib.edge_impair_bench_take(self._bench, now, frame) else None

    def due(self) -> int:
        return lib.edge_impair_bench_due(self._bench)

    def counters(self) -> dict[str, int]:
        counted = ffi.new("struct edge_impair_counters *")
        lib.edge_impair_bench_count(self._bench, counted)
        return {name: getattr(counted, name) for name, _ in ffi.typeof(counted).item.fields}


class Schedule:
    """struct edge_schedule."""

    def __init__(self, places: int) -> None:
        self._bench = ffi.gc(lib.edge_schedule_bench_new(places, 0), lib.edge_schedule_bench_free)

    def set(self, rate_bps: int, round_octets: int, sets: list[schedule_oracle.Settings]) -> None:
        rows = [(s.share, s.strict, s.limit_octets, s.burst_octets) for s in sets]
        lib.edge_schedule_bench_set(
            self._bench, rate_bps, round_octets, ffi.new("struct edge_queue_settings[]", rows), len(rows)
        )

    def put(self, queue: int, octets: int, frame: int, packets: int = 1) -> int:
        return lib.edge_schedule_bench_put(self._bench, queue, octets, packets, frame)

    def take(self, now: int) -> tuple[int, int] | None:
        frame, queue = ffi.new("uint64_t *"), ffi.new("uint32_t *")
        return (queue[0], frame[0]) if lib.edge_schedule_bench_take(self._bench, now, frame, queue) else None

    def drain(self) -> int | None:
        frame = ffi.new("uint64_t *")
        return frame[0] if lib.edge_schedule_bench_drain(self._bench, frame) else None

    def due(self) -> int:
        return lib.edge_schedule_bench_due(self._bench)

    def counters(self, queue: int) -> dict[str, int]:
        counted = ffi.new("struct edge_queue_counters *")
        lib.edge_schedule_bench_count(self._bench, queue, counted)
        return {name: getattr(counted, name) for name, _ in ffi.typeof(counted).item.fields}
