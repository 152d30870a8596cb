"""Whether this machine has strongSwan, and how its programs are started from a lab."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from edge.errors import CapabilityError
from edge.net.capabilities import found_program

DAEMON, LOADER = "charon-systemd", "swanctl"
"""Of Debian's two builds of charon the one that writes no process id into /run, of which there can be many.
It stays in the foreground and needs no systemd."""

PACKAGES: Final = {DAEMON: "charon-systemd", LOADER: "strongswan-swanctl"}
"""Program -> the package of Debian and Ubuntu that brings it."""

_PROFILES = Path("/sys/kernel/security/apparmor/profiles")
_PT_INTERP: Final = 3


def require_strongswan() -> None:
    """Raise CapabilityError with one apt line when a program is missing that negotiated keys need."""
    missing = [name for name in PACKAGES if found_program(name) is None]
    if missing:
        raise CapabilityError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            "strongSwan, which agrees on the keys of IPsec tunnels (`ike`)",
            "sudo apt-get install --no-install-recommends " + " ".join(PACKAGES[one] for one in missing),
        )


def command(name: str) -> tuple[str, ...]:
    """How a program of strongSwan is started. Raises CapabilityError when it is not installed.

    Ubuntu's AppArmor lets them have files below /etc and /run/charon.* alone. A profile belongs to the file
    that is executed, so there the system's loader is executed, with the program as its argument.
    """
    program = found_program(name)
    if program is None:
        require_strongswan()
        raise CapabilityError(f"{name} is not installed", f"sudo apt-get install {PACKAGES[name]}")
    try:
        profiles = _PROFILES.read_text()
    except OSError:
        # No AppArmor, or no right to see; then none is enforced on root's processes that we know of.
        return (program,)
    return (interpreter(Path(program).read_bytes()), program) if confined(program, profiles) else (program,)


def confined(program: str, profiles: str) -> bool:
    """Whether AppArmor's list has an enforced profile of a program. Pure."""
    return any(line == f"{program} (enforce)" for line in profiles.splitlines())


def interpreter(image: bytes) -> str:
    """The loader that a 64-bit ELF file asks for (ELF, program header PT_INTERP). Pure.

    Raises CapabilityError for another file.
    """
    if image[:5] == b"\x7fELF\x02":
        order = "<" if image[5] == 1 else ">"
        (table,) = struct.unpack_from(order + "Q", image, 32)
        size, count = struct.unpack_from(order + "HH", image, 54)
        for at in range(table, table + size * count, size):
            kind, _, offset, _, _, length = struct.unpack_from(order + "IIQQQQ", image, at)
            if kind == _PT_INTERP:
                return image[offset : offset + length].rstrip(b"\0").decode()
    raise CapabilityError("strongSwan's program is no 64-bit ELF file with a loader", "reinstall strongSwan")
