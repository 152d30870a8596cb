"""nftables tables as a whole: put one in place, see whether it still is what we put there, read counters.

`nft` runs in the thread's namespace; its input replaces a table in one transaction. The kernel never gives
our text back (it orders and rewrites), so what `nft -j list table` says right after we applied a text is
kept as that text's image. Later the ruleset is ours unchanged when it still has the same image. The
generation number of a namespace's ruleset, one netlink question, tells whether anything was touched at
all; only then is `nft` asked again.
"""

from __future__ import annotations

import json
import re
import socket
import struct
from typing import Any

from edge.errors import DaemonError
from edge.net import messages as nl
from edge.net.objects.base import Key
from edge.net.objects.routing import Ruleset
from edge.net.rulesets import DEADLINE_S, DIFFERS, Enter, Rulesets
from edge.net.spaces import MissingError

_NETLINK_NETFILTER = 12
_GET_GENERATION = 10 << 8 | 16
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN (<linux/netfilter/nf_tables.h>)."""
_GENERATION_ID = 1
_HEADER_LINES = 3


def document(ruleset: Ruleset) -> str:
    """The input for `nft -f -` that puts the table there, or in the old one's place, in one transaction.

    Our text begins at line _HEADER_LINES + 1.
    """
    name = f"table {ruleset.family} {ruleset.table}"
    return f"{name}\ndelete {name}\n{name} {{\n{ruleset.text.rstrip()}\n}}\n"


def explain(ruleset: Ruleset, stderr: str) -> str:
    """nft's complaint about `document(ruleset)` with line numbers and lines of the operator's text."""
    lines = ruleset.text.splitlines()
    words = []
    for number, column, message in re.findall(
        r"^[^\s:]+:(\d+):(\d+)-\d+: Error: (.*)$", stderr, re.MULTILINE
    ):
        line = int(number) - _HEADER_LINES
        quoted = f" in {lines[line - 1].strip()!r}" if 1 <= line <= len(lines) else ""
        words.append(f"line {line}, column {column}: {message}{quoted}")
    return "; ".join(words) or stderr.strip() or "nft gave no reason"


def image(listing: str) -> str:
    """A listing of `nft -j` without what changes by itself: handles, counters' values, the version.

    Raises ValueError when it is not such a listing.
    """
    entries = json.loads(listing)["nftables"]
    return json.dumps([_stable(entry) for entry in entries if "metainfo" not in entry], sort_keys=True)


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        moving = {"handle", "packets", "bytes"}
        return {key: _stable(item) for key, item in value.items() if key not in moving}
    return [_stable(item) for item in value] if isinstance(value, list) else value


class Nft(Rulesets):
    """The tables we put into namespaces. `enter(namespace)` gives the context that runs inside it."""

    def __init__(self, enter: Enter) -> None:
        super().__init__(enter)
        self._generations: dict[Key, int] = {}

    def counters(self, namespace: str) -> dict[str, tuple[int, int]]:
        """Named counters of all tables of a namespace: name -> (packets, bytes).

        Raises MissingError when there is no such namespace, DaemonError when nft cannot list them.
        """
        listing = json.loads(self._list(namespace, "counters"))
        counters = [entry["counter"] for entry in listing["nftables"] if "counter" in entry]
        return {counter["name"]: (counter["packets"], counter["bytes"]) for counter in counters}

    def _apply(self, ruleset: Ruleset) -> None:
        code, _, stderr = self._run(ruleset.namespace, ("-f", "-"), document(ruleset))
        if code:
            raise DaemonError(f"{ruleset}: nft refuses the rules: {explain(ruleset, stderr)}")
        # The number is read before the listing: a touch in between shows as a touch, never as nothing.
        self._generations[ruleset.key] = self._generation(ruleset.namespace)
        self._applied[ruleset.key] = (ruleset, image(self._list_table(ruleset)))

    def _delete(self, ruleset: Ruleset) -> None:
        self._applied.pop(ruleset.key, None)
        name = f"table {ruleset.family} {ruleset.table}"
        try:
            # Making it first lets the deletion of a table that is gone succeed, too.
            code, _, stderr = self._run(ruleset.namespace, ("-f", "-"), f"{name}\ndelete {name}\n")
        except MissingError:
            return
        if code:
            raise DaemonError(f"{ruleset}: nft cannot remove it: {stderr.strip()}")

    def _find(self, ruleset: Ruleset) -> Ruleset | None:
        generation = self._generation(ruleset.namespace)
        applied, known = self._applied.get(ruleset.key, (None, ""))
        if applied is not None and self._generations.get(ruleset.key) == generation:
            return applied
        code, listing, stderr = self._run(ruleset.namespace, _list_command(ruleset))
        if code:
            if "No such file or directory" in stderr:
                return None
            raise DaemonError(f"{ruleset}: nft cannot list it: {stderr.strip()}")
        if applied is not None and image(listing) == known:
            self._generations[ruleset.key] = generation
            return applied
        return Ruleset(ruleset.namespace, ruleset.family, ruleset.table, DIFFERS)

    def _list_table(self, ruleset: Ruleset) -> str:
        return self._list(ruleset.namespace, *_list_command(ruleset)[2:])

    def _list(self, namespace: str, *what: str) -> str:
        code, listing, stderr = self._run(namespace, ("-j", "list", *what))
        if code:
            raise DaemonError(f"{namespace}: nft cannot list {' '.join(what)}: {stderr.strip()}")
        return listing

    def _run(self, namespace: str, arguments: tuple[str, ...], text: str = "") -> tuple[int, str, str]:
        return self.program(namespace, "nft", arguments, text, package="nftables")

    def _generation(self, namespace: str) -> int:
        """Number of the last transaction on the namespace's ruleset."""
        with self._enter(namespace):
            opened = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
            )
        with opened:
            opened.settimeout(DEADLINE_S)
            request = nl.Request(_GET_GENERATION, 0, struct.pack("=BBH", socket.AF_UNSPEC, 0, 0))
            opened.send(request.encode(1, nl.NLM_F_REQUEST))
            for message in nl.messages(opened.recv(4096)):
                generation = nl.attributes(message.payload, 4).get(_GENERATION_ID)
                if generation is not None and message.kind != nl.NLMSG_ERROR:
                    return int.from_bytes(generation, "big")
        raise DaemonError(f"{namespace}: the kernel does not tell the generation of its nftables ruleset")


def _list_command(ruleset: Ruleset) -> tuple[str, ...]:
    return ("-j", "list", "table", ruleset.family, ruleset.table)
