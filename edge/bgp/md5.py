"""What the kernel counted of TCP MD5 signatures (RFC 2385) in a namespace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import DaemonError
from edge.net.namespaces import inside


@dataclass(frozen=True, slots=True)
class Md5Counters:
    """Segments refused since the namespace was made (TcpExt of /proc/net/netstat).

    not_found: unsigned, where a key is configured here. unexpected: signed, where none is.
    failure: signed with another key.
    """

    not_found: int = 0
    unexpected: int = 0
    failure: int = 0

    @property
    def total(self) -> int:
        """All segments refused for their signature or the lack of one."""
        return self.not_found + self.unexpected + self.failure

    def since(self, earlier: Md5Counters) -> Md5Counters:
        """What was counted after `earlier` was read."""
        return Md5Counters(
            self.not_found - earlier.not_found,
            self.unexpected - earlier.unexpected,
            self.failure - earlier.failure,
        )


def parse_netstat(text: str) -> Md5Counters:
    """The counters in the text of /proc/net/netstat; 0 where the kernel has no such counter. Pure.

    Raises DaemonError when the text is no netstat table.
    """
    lines = [line.split() for line in text.splitlines() if line.startswith("TcpExt:")]
    if len(lines) != 2 or len(lines[0]) != len(lines[1]):
        raise DaemonError("cannot read /proc/net/netstat: no TcpExt table")
    values = dict(zip(lines[0][1:], lines[1][1:], strict=True))
    try:
        return Md5Counters(
            not_found=int(values.get("TCPMD5NotFound", 0)),
            unexpected=int(values.get("TCPMD5Unexpected", 0)),
            failure=int(values.get("TCPMD5Failure", 0)),
        )
    except ValueError as error:
        raise DaemonError(f"cannot read /proc/net/netstat: {error}") from error


def tcp_md5_failures(netns_fd: int) -> Md5Counters:
    """The counters of the network namespace `netns_fd`. Raises OSError when it cannot be entered."""
    with inside(netns_fd):
        return parse_netstat(Path("/proc/thread-self/net/netstat").read_text())
