"""What queues this kernel has, found out by trying in a scratch namespace."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from edge.errors import EdgeError
from edge.net import htb
from edge.net import messages as nl
from edge.net.capabilities import Capability
from edge.net.htb import HtbClass, Leaf, LeafKind
from edge.net.namespaces import scratch_namespace
from edge.net.netlink import Refusal, RouteSocket

_ABSENT = (errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)
"""The kernel's answers for a discipline that it does not have and cannot load."""


@dataclass(frozen=True, slots=True)
class QueueSupport:
    """htb: whether there are classes at all. leaves: the best queue for their ends.

    `fq_codel` keeps one greedy flow from delaying the others of its class (RFC 8290); `bfifo` is in every
    kernel that has any queue.
    """

    htb: Capability
    leaves: LeafKind


def probe() -> QueueSupport:
    """Try on the loopback of a namespace made for it; a few milliseconds. May load sch_htb and sch_fq_codel.

    cake is not tried: as a leaf it has nothing to shape, and its fairness is that of fq_codel.
    """
    name = "traffic classes (HTB)"
    index = nl.LOOPBACK_INDEX
    requests = [
        htb.new_root(index, default=1),
        htb.put_class(index, HtbClass(1, 0, 1_000_000, 1_000_000, 1000, 1000, 1500, 0)),
        htb.put_leaf(index, Leaf(1, "fq_codel", 100, 5000)),
    ]
    try:
        with scratch_namespace() as fd, RouteSocket(fd) as route:
            root, _, leaf = route.transact(requests)
    except (EdgeError, OSError) as error:
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
        root = leaf = Refusal(number)
    leaves: LeafKind = "fq_codel" if leaf is None else "bfifo"
    if root is None:
        return QueueSupport(Capability(name, True, f"the kernel has HTB with {leaves} queues"), leaves)
    if root.errno in (errno.EPERM, errno.EACCES):
        return QueueSupport(Capability(name, False, f"no right to try {name}", "run as root"), leaves)
    words = "the kernel has no HTB" if root.errno in _ABSENT else f"the kernel refuses HTB: {root}"
    return QueueSupport(Capability(name, False, words, "sudo modprobe sch_htb"), leaves)
