"""strongSwan's configurations from what is wanted. Pure.

strongswan.conf says how charon runs: as an ordinary process, whose files all lie in one directory of ours;
swanctl.conf says with whom it agrees on which keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge.model import IpsecTunnel, KeyExchange

PLUGINS = "random nonce openssl aes sha1 sha2 hmac gcm gmp kdf kernel-netlink socket-default vici"
"""What pre-shared keys, the kernel and our own reading need; those that are not installed are passed over."""

ASK_AGAIN_S = 10
"""Seconds until the kernel asks for keys again, when there is traffic and the first asking failed."""

RETRANSMIT_TRIES, RETRANSMIT_BASE = 4, 1.5
"""A request is sent five times, each pause half as long again as the one before."""

MARGIN = 10
"""A key gives way to the next one when this part (one of so many) of its life is left."""


def settings(socket: Path, exchanges: Iterable[KeyExchange]) -> str:
    """strongswan.conf of a charon with this vici socket. Of several peers' patience the least counts."""
    patience_s = min(one.offers.dead_peer_s for one in exchanges)
    # Half of it passes in silence before the peer is asked, half until it has not answered.
    sums = sum(RETRANSMIT_BASE**n for n in range(RETRANSMIT_TRIES + 1))
    return f"""\
charon-systemd {{
  load = {PLUGINS}
  install_routes = no
  install_virtual_ip = no
  routing_table = 0
  threads = 8
  retransmit_tries = {RETRANSMIT_TRIES}
  retransmit_base = {RETRANSMIT_BASE}
  retransmit_timeout = {patience_s / 2 / sums:.2f}
  journal {{
    default = -1
  }}
  filelog {{
    stderr {{
      default = 0
      ike = 1
      knl = 1
      cfg = 1
      job = 1
      ike_name = yes
      flush_line = yes
    }}
  }}
  plugins {{
    vici {{
      socket = unix://{socket}
    }}
    kernel-netlink {{
      xfrm_acq_expires = {ASK_AGAIN_S}
    }}
  }}
}}
swanctl {{
  load = random
}}
"""


def connections(tunnels: Iterable[IpsecTunnel]) -> str:
    """swanctl.conf of these tunnels. A connection and its only child are called after the device."""
    found = [tunnel for tunnel in tunnels if tunnel.exchange is not None]
    bodies = "".join(_connection(tunnel) for tunnel in found)
    secrets = "".join(_secret(tunnel) for tunnel in found)
    return f"connections {{\n{bodies}}}\nsecrets {{\n{secrets}}}\n"


def name_of(tunnel: IpsecTunnel) -> str:
    """What strongSwan calls a tunnel: a dot would end a section's name."""
    return tunnel.name.replace(".", "_")


def _connection(tunnel: IpsecTunnel) -> str:
    exchange = tunnel.exchange
    assert exchange is not None
    offers, name = exchange.offers, name_of(tunnel)
    over_s = offers.ike_life_s // MARGIN
    start = "trap|start" if exchange.initiates else "trap"
    return f"""\
  {name} {{
    version = 2
    local_addrs = {tunnel.local}
    remote_addrs = {tunnel.remote}
    proposals = {",".join(offers.ike)}
    rekey_time = {offers.ike_life_s - over_s}s
    over_time = {over_s}s
    dpd_delay = {offers.dead_peer_s // 2}s
    keyingtries = 0
    mobike = no
    local {{
      auth = psk
      id = {tunnel.local}
    }}
    remote {{
      auth = psk
      id = {tunnel.remote}
    }}
    children {{
      {name} {{
        local_ts = 0.0.0.0/0
        remote_ts = 0.0.0.0/0
        mode = tunnel
        mark_in = {tunnel.number}
        mark_out = {tunnel.number}
        reqid = {tunnel.number}
        esp_proposals = {",".join(offers.esp)}
        life_time = {offers.life_s}s
        rekey_time = {offers.life_s - offers.life_s // MARGIN}s
        life_bytes = {offers.life_octets}
        rekey_bytes = {offers.life_octets - offers.life_octets // MARGIN}
        start_action = {start}
        dpd_action = trap
        close_action = trap
      }}
    }}
  }}
"""


def _secret(tunnel: IpsecTunnel) -> str:
    assert tunnel.exchange is not None
    # In hexadecimal no sign of a key means anything to the reader of this file.
    return f"""\
  ike-{name_of(tunnel)} {{
    id-local = {tunnel.local}
    id-remote = {tunnel.remote}
    secret = 0x{tunnel.exchange.shared_key.encode().hex()}
  }}
"""
