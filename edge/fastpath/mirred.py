"""A filter that redirects all that a device sends, as netlink messages: for kernels that refuse BPF. Pure.

cls_u32 with a key that matches everything, and act_mirred. Layouts: <linux/pkt_cls.h> (struct tc_u32_sel),
<linux/tc_act/tc_mirred.h>. Both are older than any kernel that we know of, and a process may use them in a
user namespace of its own.
"""

from __future__ import annotations

import struct

from edge.fastpath import clsact
from edge.net import messages as nl

PRIORITY = clsact.FIRST_PRIORITY + 16
"""Of the filter: behind all programs of ours."""

TCA_U32_SEL, TCA_U32_ACT = 5, 7
TCA_ACT_KIND, TCA_ACT_OPTIONS = 1, 2
TCA_MIRRED_PARMS = 2
TC_ACT_STOLEN, TCA_EGRESS_REDIR = 4, 1
TC_U32_TERMINAL = 1

_U32_SEL = struct.Struct("=BBBxHHhhI")
_U32_KEY = struct.Struct("=IIii")
_MIRRED = struct.Struct("=IIiiiiI")
_ETH_P_ALL = 0x0300
"""In network order on a little-endian machine."""


def _header(ifindex: int) -> bytes:
    return nl.TCMSG.pack(0, ifindex, 0, clsact.EGRESS, PRIORITY << 16 | _ETH_P_ALL) + nl.text(
        nl.TCA_KIND, "u32"
    )


def redirect_all(ifindex: int, to: int) -> nl.Request:
    """All that `ifindex` sends goes out of device `to`; needs the clsact qdisc."""
    key = _U32_KEY.pack(0, 0, 0, 0)
    selector = _U32_SEL.pack(TC_U32_TERMINAL, 0, 1, 0, 0, 0, 0, 0) + key
    mirred = nl.attribute(TCA_MIRRED_PARMS, _MIRRED.pack(0, 0, TC_ACT_STOLEN, 0, 0, TCA_EGRESS_REDIR, to))
    action = nl.text(TCA_ACT_KIND, "mirred") + nl.attribute(TCA_ACT_OPTIONS | nl.NESTED, mirred)
    options = nl.attribute(TCA_U32_SEL, selector) + nl.attribute(
        TCA_U32_ACT | nl.NESTED, nl.attribute(1 | nl.NESTED, action)
    )
    payload = _header(ifindex) + nl.attribute(nl.TCA_OPTIONS | nl.NESTED, options)
    return nl.Request(clsact.RTM_NEWTFILTER, nl.NLM_F_CREATE | nl.NLM_F_EXCL, payload)


def delete(ifindex: int) -> nl.Request:
    """Take the filter off."""
    return nl.Request(clsact.RTM_DELTFILTER, 0, _header(ifindex))


def dump(ifindex: int) -> nl.Request:
    """Ask for the filters at the egress of a device."""
    return nl.Request(clsact.RTM_GETTFILTER, nl.NLM_F_DUMP, nl.TCMSG.pack(0, ifindex, 0, clsact.EGRESS, 0))


def is_ours(payload: bytes) -> bool:
    """Whether an answer to `dump` is the filter with its key."""
    *_, info = nl.TCMSG.unpack_from(payload)
    options = nl.attributes(payload, nl.TCMSG.size).get(nl.TCA_OPTIONS, b"")
    return info >> 16 == PRIORITY and TCA_U32_SEL in nl.attributes(options)
