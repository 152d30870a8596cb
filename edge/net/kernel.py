"""The kernel behind the objects: brings changes about, and says what there really is.

Changes of one tier come together. Those that are netlink requests are packed by namespace, so that a tier
costs one send and one receive a namespace; namespaces, settings, tags and packet rules have ways of their
own. Whatever happens to one change happens to that one only: each has its own result.
"""

from __future__ import annotations

import socket as sockets
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

from edge.errors import EdgeError, KernelError
from edge.net import messages as nl
from edge.net import mpls, steps
from edge.net.capabilities import PacketRules
from edge.net.devices import Devices
from edge.net.disciplines import Disciplines, QueuesLike
from edge.net.found import as_wanted, interpret, mirrored
from edge.net.htb import LeafKind
from edge.net.impairments import ImpairmentPlaneLike, Impairments
from edge.net.ipsec import Ipsec
from edge.net.marking import Markings, MarkPlaneLike
from edge.net.marking_nft import NftMarkPlane
from edge.net.netlink import Refusal, RouteSocket
from edge.net.nft import Nft
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, IpsecTunnel, Namespace, Sysctl
from edge.net.objects.frames import Impairment, Marking, Queues, SubinterfaceTags, VirtualCircuit
from edge.net.objects.routing import Ruleset
from edge.net.queue_support import probe as probe_queues
from edge.net.queues import ClassCounters
from edge.net.rulesets import Rulesets
from edge.net.settings import Settings
from edge.net.snapshot import Snapshot, take
from edge.net.spaces import MissingError, Spaces
from edge.net.tags import TagPlaneLike, Tags
from edge.net.xtables import Xtables

NETNS_DIRECTORY = Path("/run/netns")

MPLS = Path("/proc/sys/net/mpls")
"""There once the kernel routes labels."""

Results = list[EdgeError | None]
Work = Callable[[Sequence[Change]], Results]
Subject = TypeVar("Subject", Sysctl, Ruleset)


class Kernel:
    """Namespaces of one directory and all that is in them. Any thread may call any method.

    tag_plane: needed for SubinterfaceTags and VirtualCircuit only. packet_rules: what applies Rulesets
    (edge.net.capabilities says what this kernel has). queue_leaves: queues at the ends of traffic classes;
    None tries out what this kernel has, when the first ones are made. impairments: needed for an Impairment
    by our own engine. mark_plane: needed for Marking; `nft` marks with packet rules of the namespaces.
    """

    def __init__(
        self,
        *,
        netns_directory: Path = NETNS_DIRECTORY,
        tag_plane: TagPlaneLike | None = None,
        packet_rules: PacketRules = "nft",
        queue_leaves: LeafKind | None = None,
        impairments: ImpairmentPlaneLike | None = None,
        mark_plane: MarkPlaneLike | Literal["nft"] | None = None,
        queues: QueuesLike | None = None,
    ) -> None:
        self._spaces = Spaces(netns_directory)
        self._devices = Devices(self._spaces)
        self._settings = Settings(self._spaces)
        self._ipsec = Ipsec(self._spaces)
        self._disciplines: QueuesLike = queues or Disciplines(
            self._spaces, lambda: queue_leaves or probe_queues().leaves
        )
        self._tags = Tags(self._spaces, tag_plane)
        if mark_plane == "nft":
            mark_plane = NftMarkPlane(self._spaces.inside)
        self.mark_plane: MarkPlaneLike | None = mark_plane
        self._markings = Markings(self._spaces, mark_plane)
        self._impairments = Impairments(self._spaces, impairments)
        filters = {"nft": Nft, "iptables": Xtables}
        self._rulesets: Rulesets = filters[packet_rules](self._spaces.inside)
        self._lock = threading.RLock()
        # Type -> (how it is made or changed, how it is taken away).
        self._ways: tuple[tuple[type | tuple[type, ...], Work, Work], ...] = (
            (Namespace, self._make_namespaces, self._delete_namespaces),
            (Sysctl, self._set, self._restore),
            (Ruleset, self._put_rules, self._delete_rules),
            (IpsecTunnel, self._ipsec.create, self._ipsec.delete),
            (Queues, self._disciplines.create, self._disciplines.delete),
            (Impairment, self._impairments.create, self._impairments.delete),
            (Marking, self._markings.create, self._markings.delete),
            ((SubinterfaceTags, VirtualCircuit), self._tags.create, self._tags.delete),
            (steps.LINK_STATE, self._devices.create, self._devices.delete),
        )

    def close(self) -> None:
        """Close sockets and descriptors. What was made stays."""
        with self._lock:
            self._spaces.close()

    def netns_fd(self, name: str) -> int:
        """Descriptor of a namespace, valid until it is deleted. Raises KernelError."""
        return self._spaces.fd(name)

    def socket(self, namespace: str, family: int, kind: int, proto: int = 0) -> sockets.socket:
        """A socket opened inside a namespace. Raises KernelError, OSError."""
        with self._spaces.inside(namespace):
            return sockets.socket(family, kind | sockets.SOCK_CLOEXEC, proto)

    def ifindex(self, endpoint: Endpoint) -> int:
        """Index of a device as it is now. Raises KernelError when there is none."""
        with self._lock:
            self._spaces.forget_index(endpoint)
            return self._spaces.index(endpoint)

    def set_up(self, endpoint: Endpoint, up: bool) -> None:
        """Set the administrative state of a device. Raises KernelError.

        By a socket of its own, without the lock: it answers the loss of a carrier, and must not wait until
        another thread has read a hundred namespaces.
        """
        with self._spaces.inside(endpoint.namespace):
            route = RouteSocket()
        with route:
            refused = route.transact([nl.set_up_named(endpoint.device, up)])[0]
        if refused is not None:
            raise KernelError(str(endpoint), refused.errno, str(refused))

    def counters(self, namespace: str) -> dict[str, tuple[int, int]]:
        """Named counters of a namespace's packet rules: name -> (packets, bytes). Raises EdgeError."""
        return self._rulesets.counters(namespace)

    def queue_counters(self, queues: Iterable[Queues]) -> list[ClassCounters]:
        """What the queues of ports counted, and what waits in them. Raises OSError, EdgeError."""
        with self._lock:
            return self._disciplines.counters(queues)

    def apply(self, changes: Sequence[Change]) -> Results:
        """Bring changes of one tier about; the result of each, in order.

        Deletions come before the rest. What shall go and has gone already counts as done. Raises
        ValueError for an object that is not the kernel's (BirdDaemon).
        """
        results: Results = [None] * len(changes)
        ways = [self._way(change) for change in changes]
        with self._lock, ThreadPoolExecutor(1, thread_name_prefix="nft") as pool:
            for deleting in (True, False):
                pending: list[tuple[list[int], Future[Results]]] = []
                for number, (kind, create, delete) in enumerate(self._ways):
                    positions = [
                        position
                        for position, change in enumerate(changes)
                        if ways[position] == number and (change.after is None) == deleting
                    ]
                    if not positions:
                        continue
                    work = delete if deleting else create
                    batch = [changes[position] for position in positions]
                    if kind is Ruleset:
                        # Its processes run while attaching a tag program waits for the kernel's RCU.
                        pending.append((positions, pool.submit(work, batch)))
                        continue
                    for position, error in zip(positions, work(batch), strict=True):
                        results[position] = error
                for positions, future in pending:
                    for position, error in zip(positions, future.result(), strict=True):
                        results[position] = error
        return results

    def _way(self, change: Change) -> int:
        for number, (types, _, _) in enumerate(self._ways):
            if isinstance(change.subject, types):
                return number
        raise ValueError(f"{change.subject} is not an object of the kernel")

    def _make_namespaces(self, changes: Sequence[Change]) -> Results:
        names = [change.subject.namespace for change in changes]
        made = self._spaces.create(names)
        return [made[name] for name in names]

    def _delete_namespaces(self, changes: Sequence[Change]) -> Results:
        names = [change.subject.namespace for change in changes]
        self._settings.forget(names)
        return [self._spaces.delete(name) for name in names]

    def _set(self, changes: Sequence[Change]) -> Results:
        return self._settings.write(_subjects(changes, Sysctl))

    def _restore(self, changes: Sequence[Change]) -> Results:
        return self._settings.restore(_subjects(changes, Sysctl))

    def _put_rules(self, changes: Sequence[Change]) -> Results:
        return self._rulesets.apply(_subjects(changes, Ruleset))

    def _delete_rules(self, changes: Sequence[Change]) -> Results:
        return self._rulesets.delete(_subjects(changes, Ruleset))

    def found(self, wanted: Iterable[KernelObject]) -> set[KernelObject]:
        """What there is, read from the kernel, in the words of `wanted` where it means the same.

        Settings and rulesets are looked up for those that `wanted` names (rulesets of our own doing,
        too); everything else is told completely. Raises EdgeError when the kernel cannot be read.
        """
        keyed = {item.key: item for item in wanted}
        with self._lock:
            try:
                snapshots = self._snapshots()
                tags = self._tags.found()
                found: list[KernelObject] = list(interpret(snapshots, keyed, self._is_namespace))
                found += self._disciplines.found(snapshots, keyed)
                found += self._impairments.found(snapshots, keyed)
                found += tags
                found += self._markings.found()
                found += self._ipsec.found([item for item in keyed.values() if isinstance(item, IpsecTunnel)])
                rules = [
                    item for item in (*tags, *keyed.values()) if isinstance(item, SubinterfaceTags | AdminUp)
                ]
                found += mirrored(rules, snapshots)
                found += self._settings.found([item for item in keyed.values() if isinstance(item, Sysctl)])
                rulesets = [item for item in keyed.values() if isinstance(item, Ruleset)]
                found += self._rulesets.found(rulesets, snapshots)
            except OSError as error:
                raise KernelError("reading the kernel's state", error.errno or 0, str(error)) from error
        return {as_wanted(item, keyed.get(item.key)) for item in found}

    def _snapshots(self) -> dict[str, Snapshot]:
        snapshots = {}
        for name in self._spaces.names():
            route = self._spaces.route(name)
            routes = [message for version in (4, 6) for message in route.dump(nl.dump_static_routes(version))]
            links, addresses = route.dump(nl.dump_links()), route.dump(nl.dump_addresses())
            # A kernel that routes no labels would answer with the routes of another family.
            labels = route.dump(mpls.dump_routes()) if MPLS.exists() else ()
            snapshot = take(links, addresses, routes, route.dump(nl.dump_queues()), labels)
            self._spaces.learn(name, snapshot.links)
            snapshots[name] = snapshot
        return snapshots

    def _is_namespace(self, namespace: str, number: int, other: str) -> bool:
        """Whether `number` is what the kernel calls namespace `other` inside `namespace`."""
        try:
            answer = self._spaces.route(namespace).ask(nl.get_netnsid(self._spaces.fd(other)))
        except MissingError:
            return False
        return not isinstance(answer, Refusal) and nl.parse_netnsid(answer.payload) == number


def _subjects(changes: Sequence[Change], kind: type[Subject]) -> list[Subject]:
    return [change.subject for change in changes if isinstance(change.subject, kind)]
