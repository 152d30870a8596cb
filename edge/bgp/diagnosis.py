"""Why a BGP session is not Established, in a sentence for an operator. Pure."""

from __future__ import annotations

from edge.bgp.state import ProtocolState

LOOK_THERE = "look at its side"
"""How a reason ends that only the neighbour can explain; who knows both ends asks the other one."""

_UNRESOLVED = "{peer} does not answer ARP or neighbour discovery on {device}: check VLAN tags and addresses"

_ERRORS: tuple[tuple[str, str], ...] = (
    ("BFD session down", "BFD heard nothing from {peer}: the path to it is broken, or it stopped"),
    ("Link down", "{device} has no carrier: look at the link and at its other end"),
    ("Neighbor lost", "{device} is down or has no address in the subnet of {peer}: bring it up"),
    ("Invalid next hop", "{peer} announced a next hop that cannot be used"),
    ("No listening socket", "the local address of the session is on no device: add it"),
    ("Kernel MD5 auth failed", "the kernel took no MD5 key for {peer}: it may lack CONFIG_TCP_MD5SIG"),
    ("Authentication failed", "the kernel took no MD5 key for {peer}: it may lack CONFIG_TCP_MD5SIG"),
    (
        "Socket: Connection refused",
        "{peer} refused the connection: it is reached, but runs no BGP or has this session shut",
    ),
    ("Socket: No route to host", _UNRESOLVED),
    ("Socket: Network is unreachable", "there is no route to {peer}: {device} lacks an address beside it"),
    ("Socket: Connection timed out", "{peer} does not answer TCP: check the shared key and the path"),
    ("Socket: Connection reset by peer", "{peer} reset the connection: " + LOOK_THERE),
    ("Socket: Connection closed", "{peer} closed the connection: it may expect another address or AS number"),
    ("Received: Hold timer expired", "{peer} heard no keepalive in its hold time: our packets are lost"),
    ("Hold timer expired", "{peer} sent no keepalive in the hold time: its packets are lost, or it stopped"),
    (
        "Received: Bad peer AS",
        "{peer} does not expect AS {local_asn} from us: the AS number configured on one end is wrong",
    ),
    (
        "Bad peer AS",
        "{peer} is not AS {peer_asn}, as configured: the AS number configured on one end is wrong",
    ),
    ("Received: Bad BGP identifier", "{peer} does not accept our router id: two routers have the same one"),
    ("Bad BGP identifier", "{peer} has our own router id: change one of the two"),
    (
        "Received: Maximum number of prefixes reached",
        "we announced more prefixes than {peer} takes, so it dropped the session: announce fewer",
    ),
    ("Received: Administrative shutdown", "{peer} has the session shut: enable it there"),
    ("Received: Peer de-configured", "{peer} does not have this session any more"),
    ("Received: Administrative reset", "{peer} reset the session; it is tried again"),
    ("Received: Connection rejected", "{peer} rejects the session: it is not configured for us"),
    ("Received: Other configuration change", "{peer} changed its configuration; it is tried again"),
)
"""BIRD's words (the longer reason of two similar ones first) and what they mean."""

_BEYOND_TCP = ("Bad peer AS", "Bad BGP identifier", "Unacceptable hold time", "Connection refused")
"""Errors that come only after the keys were found to be the same, or before they are looked at."""

_WAITING = {
    "Idle": "nothing has been tried yet",
    "Connect": "{peer} has not answered TCP yet: check VLAN tags, addresses and the shared key",
    "Active": "{peer} has not answered TCP yet: check VLAN tags, addresses and the shared key",
    "Passive": "{peer} has not connected yet",
    "OpenSent": "TCP is up, {peer} has not sent its OPEN yet",
    "OpenConfirm": "{peer} has not confirmed our OPEN yet",
}


def why_down(
    state: ProtocolState, tcp_md5_failures: int | None = None, *, neighbor_resolved: bool | None = None
) -> str:
    """One sentence with the reason and the way out; says so when the session is Established.

    tcp_md5_failures: segments the kernel refused for their MD5 signature (RFC 2385) in the session's
    namespace since the session was last tried, None when unknown. They explain a session that TCP
    never completes; one that was refused by BGP itself has a better reason.
    neighbor_resolved: whether the kernel knows the neighbour's link-layer address (ARP, RFC 4861), None
    when unknown. BIRD cannot tell: it tries again before the kernel gives up.
    """
    words = {
        "peer": str(state.neighbor) if state.neighbor is not None else "the neighbour",
        "device": state.interface or "the interface",
        "local_asn": str(state.local_asn),
        "peer_asn": str(state.peer_asn),
    }
    if state.established:
        return f"{state.name}: established with {words['peer']}"
    return f"{state.name}: {_reason(state, tcp_md5_failures, neighbor_resolved).format(**words)}"


def _reason(state: ProtocolState, tcp_md5_failures: int | None, neighbor_resolved: bool | None) -> str:
    error = state.last_error or state.info
    if "Route limit exceeded" in error:
        count = f"{state.limit} prefixes" if state.limit is not None else "its limit of prefixes"
        wait = f" in {state.error_wait_s:.0f} s" if state.error_wait_s else ""
        return f"{{peer}} sent more than {count}, so the session was dropped; it is tried again{wait}"
    if state.state == "down":
        return "administratively down; enable it to bring it back"
    if neighbor_resolved is False:
        return _UNRESOLVED
    if tcp_md5_failures and not any(words in error for words in _BEYOND_TCP):
        return (
            "the shared keys (TCP MD5) of the two ends differ: "
            f"{tcp_md5_failures} segments refused; give both the same key"
        )
    for words, meaning in _ERRORS:
        if words in error:
            return meaning
    if state.last_error:
        plain = state.last_error.replace("{", "(").replace("}", ")")
        return f"{plain}; it is tried again"
    return _WAITING.get(state.bgp_state, f"{state.bgp_state or state.state}; look at BIRD's log")
