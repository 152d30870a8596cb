"""What every program in a lab finds in /etc: the lab's nameserver and the certificates it may trust.

All nodes share the sandbox's mounts, so one bind mount over the machine's file serves them all, `ip netns
exec` and `edgelab exec` alike; the machine's own file is never touched, and the mounts go with the sandbox.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path

from edge.errors import CapabilityError, EdgeError
from edge.model import Address
from edge.net import namespaces as ns
from edge.net.capabilities import found_program

RESOLV_CONF = Path("/etc/resolv.conf")
CERTIFICATES = Path("/etc/ssl/certs")
BUNDLE = "ca-certificates.crt"
"""Where Debian and Ubuntu have what curl, wget, git and Python's ssl trust: the bundle, and links by hash."""

_RUN = Path("/run")
_TOLD, _CERTS = "resolv.conf", "certs"


def resolv_conf(address: Address) -> str:
    """A resolv.conf (resolv.conf(5)) with this nameserver. Pure."""
    return (
        f"# Made by edgelab: the lab's own nameserver.\nnameserver {address}\noptions timeout:2 attempts:2\n"
    )


def has(address: Address, authority: str) -> bool:
    """Whether programs find this nameserver and trust the authority (its certificate as PEM)."""
    try:
        told = RESOLV_CONF.read_text(encoding="utf-8", errors="replace")
        trusted = (CERTIFICATES / BUNDLE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return told == resolv_conf(address) and trusted.endswith(authority)


def give(directory: Path, address: Address, authority: str) -> None:
    """Have all programs ask this nameserver and trust the authority; what was there before is covered.

    The files lie in `directory`. Raises CapabilityError when the machine has no place for them.
    """
    take(directory)
    told = directory / _TOLD
    told.write_text(resolv_conf(address), encoding="ascii")
    told.chmod(0o644)
    trusted = _trusted(directory, authority)
    try:
        ns.mount(str(told), _place(RESOLV_CONF), "none", ns.MS_BIND)
        ns.mount(str(trusted), CERTIFICATES, "none", ns.MS_BIND)
    except OSError as error:
        take(directory)
        raise EdgeError(f"cannot give the lab a resolv.conf and its certificates: {error}") from error


def take(directory: Path) -> None:
    """Uncover what the machine has, where our files of `directory` lie over it. Idempotent."""
    for place, ours in ((CERTIFICATES, directory / _CERTS), (RESOLV_CONF.resolve(), directory / _TOLD)):
        while place.exists() and ours.exists() and place.samefile(ours):
            ns.umount(place)


def _place(path: Path) -> Path:
    """Where the file that programs read really lies; systemd's is in /run, and the sandbox has its own."""
    real = path.resolve()
    if not real.exists():
        if _RUN not in real.parents:
            raise CapabilityError(f"this machine has no {path}, which names need", f"sudo touch {real}")
        real.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        real.touch(mode=0o644)
    return real


def _trusted(directory: Path, authority: str) -> Path:
    """A copy of the machine's certificates with the lab's authority."""
    copy = directory / _CERTS
    shutil.rmtree(copy, ignore_errors=True)
    try:
        shutil.copytree(CERTIFICATES, copy, symlinks=True)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        raise CapabilityError(
            f"this machine has no {CERTIFICATES}", f"sudo mkdir -p {CERTIFICATES}"
        ) from error
    bundle = copy / BUNDLE
    known = bundle.read_text(encoding="utf-8", errors="replace") if bundle.exists() else ""
    bundle.unlink(missing_ok=True)
    bundle.write_text(known + authority, encoding="utf-8")
    (copy / "edgelab.pem").write_text(authority, encoding="ascii")
    (copy / f"{_hash(copy / 'edgelab.pem')}.0").symlink_to("edgelab.pem")
    for path in (copy, bundle, copy / "edgelab.pem"):
        path.chmod(0o755 if path == copy else 0o644)
    return copy


def _hash(certificate: Path) -> str:
    """The name by which OpenSSL looks for a certificate in a folder."""
    done = subprocess.run(
        [found_program("openssl") or "openssl", "x509", "-noout", "-hash", "-in", certificate],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
