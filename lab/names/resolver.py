"""The names of a lab as dnsmasq's configuration. Pure.

Of Debian's DNS servers dnsmasq is the one that serves addresses without zone files and is ready in some 20 ms
with 5 MB; its package `dnsmasq-base` brings no service of the machine's own and no AppArmor profile that
would keep it from the lab's files (unbound's does, on Ubuntu).
"""

from __future__ import annotations

from lab.names.plan import Names

TTL_S = 60
"""How long an answer may be kept: short, so that what changes in the lab is seen."""

_HEAD = """\
# Made by edgelab; changes are lost.
keep-in-foreground
# Only the names below exist: there is nobody to ask for others.
no-resolv
no-hosts
no-poll
local=/#/
# The lab may be without root, where no other user exists.
user=root
group=
pid-file=
log-facility=-
log-queries
bind-interfaces
"""


def render(names: Names) -> str:
    """The whole configuration, free of paths; one line for each name."""
    lines = [f"listen-address={names.address}", f"local-ttl={TTL_S}"]
    for name, addresses in names.records():
        if name.startswith("*."):
            # Other types of the name are then empty, not missing. The domain itself is answered for as well:
            # dnsmasq knows no other way before 2.87.
            lines.append(f"local=/{name[2:]}/")
            lines += [f"address=/{name[2:]}/{address}" for address in addresses]
        else:
            lines.append(f"host-record={name},{','.join(map(str, addresses))}")
    return _HEAD + "".join(f"{line}\n" for line in lines)
