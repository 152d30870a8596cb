"""The front ends of a lab as nginx's configuration. Pure.

One nginx serves all of them, though each stands in a namespace of its own: a socket stays in the namespace in
which it was opened, and nginx takes sockets over that are handed to it (what it upgrades itself with). So a
front end more costs a certificate and a few kilobytes, not a process.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from edge.model import Address
from lab.names.plan import FrontEnd, Names
from lab.names.table import CRL_FILE, CRL_NAME

HTTPS, HTTP = 443, 80

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""nginx makes the folders of all of these when it starts, wherever its package has put them."""


def render(names: Names) -> str:
    """The whole configuration; paths in it are relative to its own directory."""
    lines = [
        "# Made by edgelab; changes are lost.",
        "daemon off;",
        "worker_processes 1;",
        # The lab may be without root, where no other user exists; and the keys are root's.
        "user root;",
        "pid nginx.pid;",
        "error_log stderr warn;",
        "events { worker_connections 512; }",
        "http {",
        "  access_log off;",
        "  server_tokens off;",
        "  default_type text/plain;",
        "  server_names_hash_bucket_size 128;",
        *(f"  {name}_temp_path nginx.tmp;" for name in _TEMPORARY),
    ]
    for front_end in names.front_ends:
        lines += _server(front_end)
    return "".join(f"{line}\n" for line in [*lines, "}"])


def sockets(names: Names) -> tuple[tuple[str, Address, int], ...]:
    """(namespace, address, port) of every socket that the configuration listens on, in its order."""
    return tuple(
        (end.namespace, address, port)
        for end in names.front_ends
        for address in end.addresses
        for port in (HTTPS, HTTP)
    )


def certificate_file(namespace: str) -> str:
    """The file with a front end's certificate."""
    return f"{namespace}.pem"


def key_file(namespace: str) -> str:
    """The file with its key."""
    return f"{namespace}.key"


def _server(front_end: FrontEnd) -> list[str]:
    said = (
        f"service: {front_end.title}\\nfront end: {front_end.namespace}\\nname: $host\\n"
        f"scheme: $scheme\\nserver: $server_addr\\nclient: $remote_addr\\n"
    )
    lines = ["  server {"]
    for address in front_end.addresses:
        host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        only = " ipv6only=on" if isinstance(address, IPv6Address) else ""
        lines += [
            f"    listen {host}:{HTTPS} ssl{only};",
            f"    listen {host}:{HTTP}{only};",
        ]
    lines += [
        f"    server_name {' '.join(front_end.names)};",
        f"    ssl_certificate {certificate_file(front_end.namespace)};",
        f"    ssl_certificate_key {key_file(front_end.namespace)};",
        f'    location / {{ return 200 "{said}"; }}',
    ]
    if CRL_NAME in front_end.names:
        kind = "types { } default_type application/pkix-crl;"
        lines.append(f"    location = /{CRL_FILE} {{ root .; {kind} }}")
    return [*lines, "  }"]
