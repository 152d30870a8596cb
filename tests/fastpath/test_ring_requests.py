"""What the ring engine refuses, and what becomes of one that does not answer."""

from __future__ import annotations

import errno
import os
import select
import signal

import pytest

from edge.errors import KernelError
from edge.fastpath import ringprocess
from edge.fastpath.layout import Action, Rule, RuleKey
from edge.fastpath.ringprocess import Op

from .conftest import tags
from .ring_bench import ring_bench

pytestmark = pytest.mark.root

INVALID = os.strerror(errno.EINVAL)


def test_an_engine_that_does_not_answer_is_ended_and_another_one_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ringprocess, "DEADLINE_S", 0.3)
    with ring_bench() as bench:
        a, p, b = bench.net("a"), bench.net("p"), bench.net("b")
        bench.wire(a, p, "xa")
        bench.wire(p, b, "xb")
        circuit = bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)))
        stopped = bench.plane.pid
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(KernelError, match=r"did not answer within .* and was ended"):
            bench.circuit(p, ("xa", tags(101)), ("xb", tags(201)), name="late")
        assert select.select([bench.plane.pidfd], [], [], 5)[0]
        with pytest.raises(KernelError, match="has ended"):
            bench.circuit(p, ("xa", tags(101)), ("xb", tags(201)), name="later")
        bench.plane.restart()
        assert bench.plane.pid != stopped
        assert bench.plane.found() == {circuit}
        # Its own answers: this one is refused, the next is not.
        with pytest.raises(KernelError, match="other traffic has these tags"):
            bench.circuit(p, ("xa", tags(100)), ("xb", tags(202)), name="twice")
        bench.circuit(p, ("xa", tags(101)), ("xb", tags(201)), name="at last")


def test_a_rule_that_takes_off_more_tags_than_it_names_is_refused() -> None:
    with ring_bench() as bench:
        a, p, b = bench.net("a"), bench.net("p"), bench.net("b")
        bench.wire(a, p, "xa")
        bench.wire(p, b, "xb")
        bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)))
        ask = bench.plane.engine.ask
        for depth in (None, 2):
            for stack in ((), tags(7), tags(7, 8)):
                key = RuleKey.of(1, stack).pack()
                there = len(stack)
                fits, longer = (
                    Rule(2, 0, Action.TO_PORT, pop, depth=depth).pack() for pop in (there, there + 1)
                )
                with pytest.raises(OSError, match=INVALID):
                    ask(Op.RULE_PUT, body=key + longer)
                ask(Op.RULE_PUT, body=key + fits)
                with pytest.raises(OSError, match=INVALID):
                    ask(Op.RULE_CHANGE, body=key + longer)
                ask(Op.RULE_DELETE, body=key)
