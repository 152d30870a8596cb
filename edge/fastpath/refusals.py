"""The kernel's refusals of tags and markings in words, each with a way out. Pure."""

from __future__ import annotations

import errno
import os
import platform

from edge.errors import CapabilityError, KernelError
from edge.fastpath.bpf import VerifierError

_WAYS_OUT = {
    "tags": "run as root on the machine itself, or on a kernel with VLAN devices: modprobe 8021q",
    "marking": "run as root on the machine itself, or on a kernel with nftables, which can mark, too",
}

_MEANINGS = {
    errno.EEXIST: "other traffic has these tags at that port; remove its rule first, or take other tags",
    errno.E2BIG: "the fast path's tables are full; a second lab has its own",
    errno.ENODEV: "one of its devices is not there; create it first",
}


def already_there() -> OSError:
    """The object was added before."""
    return OSError(errno.EEXIST, "it exists already; remove it before adding it again")


def not_there() -> OSError:
    """The object was never added, or was removed."""
    return OSError(errno.ENOENT, "it is not there; nothing to change or remove")


def kernel_error(what: object, error: OSError) -> KernelError:
    """An error that names the object. Words of our own are kept, the kernel's are explained."""
    number = error.errno or 0
    text = error.strerror or str(error)
    if text == os.strerror(number):
        text = _MEANINGS.get(number, text)
    return KernelError(str(what), number, text)


def cannot_load(error: OSError, work: str = "tags") -> CapabilityError:
    """Why the programs for that work (`tags` or `marking`) cannot be in the kernel."""
    if isinstance(error, VerifierError):
        missing = f"kernel {platform.release()} refuses {error.strerror}"
    elif error.errno in (errno.EPERM, errno.EACCES):
        missing = (
            "loading BPF programs is refused: it needs CAP_BPF and CAP_NET_ADMIN outside any user namespace"
        )
    elif error.errno == errno.ENOSYS:
        missing = f"this machine has no bpf(2): {error.strerror}"
    else:
        missing = f"the kernel refuses the BPF maps of {work}: {error.strerror}"
    return CapabilityError(missing, _WAYS_OUT[work])


def not_little_endian(work: str = "tags") -> CapabilityError:
    """The shipped byte code is for the other kind of machine."""
    return CapabilityError(f"{work} in BPF is built for little-endian machines", _WAYS_OUT[work])


def cannot_attach(error: OSError) -> str:
    """Why a program cannot be put on a device."""
    if isinstance(error, PermissionError):
        return f"attaching BPF programs to devices is refused: {error.strerror}"
    return (
        f"kernel {platform.release()} has neither tcx (6.6 and later) nor clsact with cls_bpf "
        f"(modprobe sch_ingress cls_bpf): {error.strerror}"
    )
