"""Whether this machine can do MACsec: the kernel's devices, and the program that agrees on their keys."""

from __future__ import annotations

import errno
import functools
import os

from edge.errors import CapabilityError, EdgeError
from edge.net import messages as nl
from edge.net.capabilities import Capability, found_program
from edge.net.namespaces import scratch_namespace
from edge.net.netlink import RouteSocket

_NAME = "MACsec devices"


def probe_macsec() -> Capability:
    """Try to make one, which loads the kernel's module where there is one; and look for wpa_supplicant."""
    end = nl.DeviceSpec("probe0", 10, 1500, "02:00:00:00:00:00")
    other = nl.DeviceSpec("probe1", 11, 1500, "02:00:00:00:00:01")
    device = nl.DeviceSpec("probe2", 12, 1400, "02:00:00:00:00:00")
    requests = [nl.new_veth(end, other), nl.new_macsec(device, end.index)]
    try:
        with scratch_namespace() as fd, RouteSocket(fd) as route:
            refused = route.transact(requests)[1]
        number = refused.errno if refused is not None else 0
    except (EdgeError, OSError) as error:
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
    if number in (errno.EPERM, errno.EACCES):
        return Capability(_NAME, False, "no right to try it", "run as root")
    if number:
        remedy = "sudo modprobe macsec (a stock kernel of Debian or Ubuntu has it)"
        return Capability(_NAME, False, f"not in this kernel ({os.strerror(number)})", remedy)
    if found_program("wpa_supplicant") is None:
        detail = "can be made, but wpa_supplicant, which agrees on their keys, is not installed"
        return Capability(_NAME, False, detail, "sudo apt-get install wpasupplicant")
    return Capability(_NAME, True, "can be made, and wpa_supplicant agrees on their keys")


@functools.cache
def _found() -> Capability:
    return probe_macsec()


def require_macsec() -> None:
    """Raise CapabilityError when a lab with MACsec cannot be made here."""
    found = _found()
    if not found.ok:
        _found.cache_clear()
        raise CapabilityError(f"the lab asks for MACsec: {found.name}: {found.detail}", found.remedy)
