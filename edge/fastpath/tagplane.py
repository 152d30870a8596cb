"""802.1Q and 802.1ad where the kernel has no VLAN devices: subinterfaces and virtual circuits in BPF.

One `TagPlane` serves all ports of a lab, since interface indexes are unique over its namespaces. It
holds maps, programs and links as descriptors: when its process dies, the kernel takes tags off the
wire with it. Methods may be called from several threads; each leaves the calling thread in the network
namespace where it was.

What a rule does with a frame is csrc/tags.bpf.c; this module decides nothing about packets. It keeps
the registry of who owns which index, slot and attachment, and reads the truth back from the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

from edge.errors import CapabilityError, KernelError
from edge.fastpath import attach as hooks
from edge.fastpath import bpf
from edge.fastpath.attach import Direction, HookKind
from edge.fastpath.counters import (
    CircuitCounters,
    DirectionCounters,
    PolicedClass,
    PortCounters,
    SubinterfaceCounters,
    TagCounters,
    Traffic,
    UnknownStack,
)
from edge.fastpath.layout import (
    POLICED_CLASSES,
    Action,
    Rule,
    RuleKey,
    Stats,
    SubinterfaceEntry,
    pack_index,
    unpack_policed,
)
from edge.fastpath.program import Loaded, shipped
from edge.fastpath.refusals import (
    already_there,
    cannot_attach,
    cannot_load,
    kernel_error,
    not_little_endian,
    not_there,
)
from edge.fastpath.registry import (
    CircuitRecord,
    Policers,
    PortRecord,
    SubinterfaceRecord,
    read_circuit,
    read_subinterface,
)
from edge.net.namespaces import scratch_namespace
from edge.net.objects.base import Endpoint, Key
from edge.net.objects.frames import SubinterfaceTags, VirtualCircuit


class TagPlane:
    """The tag plane of one process.

    hook: how programs are attached; `auto` takes tcx where the kernel has it, else clsact.
    Raises CapabilityError when this machine cannot run it.
    """

    def __init__(self, hook: HookKind = "auto") -> None:
        self._hook: HookKind = hook
        self._lock = threading.RLock()
        self._ports: dict[int, PortRecord] = {}
        self._subinterfaces: dict[Key, SubinterfaceRecord] = {}
        self._circuits: dict[Key, CircuitRecord] = {}
        self._free_slots = list(range(shipped("tags").maps["stats"].max_entries - 1, -1, -1))
        self._policers = Policers(self._take_slot, self._free_slots.extend)
        if sys.byteorder != "little":
            raise not_little_endian()
        try:
            self._kernel = Loaded("tags")
        except OSError as error:
            raise cannot_load(error) from error

    @staticmethod
    def probe(hook: HookKind = "auto") -> str | None:
        """None when the tag plane works here, else the reason in words.

        Loads the programs and attaches one to the loopback of a namespace made for that.
        """
        try:
            plane = TagPlane(hook)
        except CapabilityError as error:
            return error.missing
        try:
            with scratch_namespace() as netns_fd:
                program = plane._kernel.programs["port_rx"]
                hooks.attach(program, 1, Direction.INGRESS, netns_fd, hook).close()
        except OSError as error:
            return cannot_attach(error)
        finally:
            plane.close()
        return None

    def add_subinterface(
        self, obj: SubinterfaceTags, *, sub: int, port: int, inner: int | None, netns_fd: int
    ) -> None:
        """Join a subinterface to its port.

        sub, port, inner: ifindexes of obj's devices; inner is None for a macvlan beside the port.
        netns_fd: the port's namespace. What `found` misses of an object added before is replaced. Raises
        KernelError naming the object: it exists already, its tags are taken at that port, or the kernel
        refused; nothing is left behind then.
        """
        with self._adding(obj) as undo:
            if obj.key in self._subinterfaces:
                self._refuse_unless_broken(obj)
                self.remove_subinterface(obj)
            hook = sub if inner is None else inner
            mac = hooks.far_mac(inner, netns_fd) if inner is not None else None
            key = RuleKey.of(port, obj.tags)
            tx_slot, rx_slot = self._take_slot(undo), self._take_slot(undo)
            entry = SubinterfaceEntry(port, tx_slot, obj.tags)
            rule = Rule(
                hook,
                rx_slot,
                Action.TO_DEVICE if inner is None else Action.TO_PEER,
                len(obj.tags),
                depth=len(obj.tags),
                mac=mac or bytes(6),
            )
            self._put("subinterfaces", pack_index(hook), entry.pack(), undo)
            self._put("rules", key.pack(), rule.pack(), undo)
            self._use_port(port, obj.port, netns_fd, undo)
            attachment = hooks.attach(
                self._kernel.programs["sub_tx"],
                hook,
                Direction.EGRESS if inner is None else Direction.INGRESS,
                netns_fd,
                self._hook,
            )
            self._subinterfaces[obj.key] = SubinterfaceRecord(obj, hook, port, tx_slot, rx_slot, attachment)

    def remove_subinterface(self, obj: SubinterfaceTags) -> None:
        """Part a subinterface from its port, whatever is left of either. KernelError when it is unknown."""
        with self._changing(obj):
            known = self._subinterfaces.pop(obj.key, None)
            if known is None:
                raise not_there()
            known.attachment.close()
            self._kernel.maps["subinterfaces"].delete(pack_index(known.hook))
            self._kernel.maps["rules"].delete(RuleKey.of(known.port, known.obj.tags).pack())
            self._release_port(known.port)
            self._free_slots += (known.rx_slot, known.tx_slot)

    def add_circuit(self, obj: VirtualCircuit, *, port_a: int, port_b: int, netns_fd: int) -> None:
        """Join two ports of the namespace `netns_fd` by a virtual circuit; port_a, port_b: ifindexes.

        Raises KernelError naming the object, as `add_subinterface` does, also for a rate that cannot be
        policed.
        """
        with self._adding(obj) as undo:
            if obj.key in self._circuits:
                self._refuse_unless_broken(obj)
                self.remove_circuit(obj)
            slots = (self._take_slot(undo), self._take_slot(undo))
            buckets = self._policers.use(obj, slots, undo)
            circuit = CircuitRecord(obj, port_a, port_b, slots, buckets)
            for key, rule in _rules(circuit).items():
                self._put("rules", key, rule, undo)
            for ifindex, device in ((port_a, obj.port_a), (port_b, obj.port_b)):
                self._use_port(ifindex, Endpoint(obj.namespace, device), netns_fd, undo)
            self._circuits[obj.key] = circuit

    def change_circuit(self, before: VirtualCircuit, after: VirtualCircuit) -> None:
        """Give a circuit another rate or other tags while traffic flows.

        Counters and the policer's bucket go on. Ports and policer cannot change: remove and add for that.
        Raises KernelError naming the object.
        """
        with self._adding(after) as undo:
            known = self._circuits.get(before.key)
            if known is None:
                raise not_there()
            if _fixed(after) != _fixed(known.obj):
                words = "name, ports and policer are fixed; remove the circuit and add the new one"
                raise OSError(errno.EINVAL, words)
            changed = replace(known, obj=after)
            old, new = _rules(known), _rules(changed)
            rules = self._kernel.maps["rules"]
            for key, rule in new.items():
                if key in old:
                    rules.put(key, rule, bpf.UPDATE_EXIST)
                    undo.callback(rules.put, key, old[key])
                else:
                    self._put("rules", key, rule, undo)
            for key in old.keys() - new.keys():
                rules.delete(key)
            self._circuits[after.key] = changed

    def remove_circuit(self, obj: VirtualCircuit) -> None:
        """Take a virtual circuit away. Raises KernelError when it is unknown."""
        with self._changing(obj):
            known = self._circuits.pop(obj.key, None)
            if known is None:
                raise not_there()
            for key in _rules(known):
                self._kernel.maps["rules"].delete(key)
            self._release_port(known.port_a)
            self._release_port(known.port_b)
            self._policers.release(known.obj)
            self._free_slots += known.slots

    def found(self) -> set[SubinterfaceTags | VirtualCircuit]:
        """What really is in the kernel, read back from maps and links and given its names again.

        An object whose program was detached, whose device is gone or whose entries do not fit together
        is not there; one whose entries were changed shows as what they say.
        """
        with self._lock:
            rules = {
                RuleKey.unpack(key): Rule.unpack(value) for key, value in self._kernel.maps["rules"].items()
            }
            ports = {i: port.endpoint for i, port in self._ports.items() if port.attachment.alive()}
            found: set[SubinterfaceTags | VirtualCircuit] = set()
            for sub in self._subinterfaces.values():
                data = self._kernel.maps["subinterfaces"].get(pack_index(sub.hook))
                if data is None or not sub.attachment.alive():
                    continue
                obj = read_subinterface(sub, SubinterfaceEntry.unpack(data), rules, ports)
                found |= {obj} if obj else set()
            for circuit in self._circuits.values():
                joined = read_circuit(circuit, rules, ports, self._policers)
                found |= {joined} if joined else set()
            return found

    def counters(self) -> TagCounters:
        """All counters at this moment."""
        with self._lock:
            unknown: dict[int, list[UnknownStack]] = {}
            for raw_key, value in self._kernel.maps["unknown"].items():
                key = RuleKey.unpack(raw_key)
                stack = UnknownStack(key.raw_tags, int.from_bytes(value, sys.byteorder))
                unknown.setdefault(key.ifindex, []).append(stack)
            return TagCounters(
                tuple(
                    SubinterfaceCounters(
                        s.obj.sub,
                        s.obj.port,
                        s.obj.tags,
                        rx=_passed(self._stats(s.rx_slot)),
                        tx=_passed(self._stats(s.tx_slot)),
                    )
                    for s in self._subinterfaces.values()
                ),
                tuple(
                    CircuitCounters(c.obj.namespace, c.obj.name, *(self._direction(slot) for slot in c.slots))
                    for c in self._circuits.values()
                ),
                tuple(
                    PortCounters(
                        port.endpoint,
                        _dropped(self._stats(port.slot)),
                        tuple(sorted(unknown.get(i, ()), key=lambda u: (-u.packets, u.tags))),
                    )
                    for i, port in self._ports.items()
                ),
            )

    def close(self) -> None:
        """Detach everything and free it. The object is of no use afterwards."""
        with self._lock:
            for sub in self._subinterfaces.values():
                sub.attachment.close()
            for port in self._ports.values():
                port.attachment.close()
            self._subinterfaces.clear()
            self._circuits.clear()
            self._ports.clear()
            self._kernel.close()

    @contextlib.contextmanager
    def _changing(self, obj: SubinterfaceTags | VirtualCircuit) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except OSError as error:
                raise kernel_error(obj, error) from error
            except ValueError as error:
                raise KernelError(str(obj), errno.EINVAL, str(error)) from error

    @contextlib.contextmanager
    def _adding(self, obj: SubinterfaceTags | VirtualCircuit) -> Iterator[contextlib.ExitStack]:
        """Undo what was done so far when the block raises."""
        with self._changing(obj), contextlib.ExitStack() as undo:
            yield undo
            undo.pop_all()

    def _refuse_unless_broken(self, obj: SubinterfaceTags | VirtualCircuit) -> None:
        """An object whose device or entries went away behind our back may be added again."""
        if obj.key in {whole.key for whole in self.found()}:
            raise already_there()

    def _take_slot(self, undo: contextlib.ExitStack) -> int:
        if not self._free_slots:
            raise OSError(errno.ENOSPC, "the tag plane's tables are full; a second lab has its own")
        slot = self._free_slots.pop()
        undo.callback(self._free_slots.append, slot)
        for name in ("stats", "buckets"):
            table = self._kernel.maps[name]
            table.put(pack_index(slot), bytes(table.value_size))
        return slot

    def _put(self, name: str, key: bytes, value: bytes, undo: contextlib.ExitStack) -> None:
        self._kernel.maps[name].put(key, value, bpf.UPDATE_NOEXIST)
        undo.callback(self._kernel.maps[name].delete, key)

    def _use_port(self, ifindex: int, endpoint: Endpoint, netns_fd: int, undo: contextlib.ExitStack) -> None:
        port = self._ports.get(ifindex)
        if port is None:
            with contextlib.ExitStack() as partial:
                slot = self._take_slot(partial)
                self._put("ports", pack_index(ifindex), pack_index(slot), partial)
                program = self._kernel.programs["port_rx"]
                attachment = hooks.attach(program, ifindex, Direction.INGRESS, netns_fd, self._hook)
                partial.pop_all()
            port = self._ports[ifindex] = PortRecord(endpoint, slot, attachment)
        elif not port.attachment.alive():
            # The device was deleted and made again under the same index.
            program = self._kernel.programs["port_rx"]
            renewed = hooks.attach(program, ifindex, Direction.INGRESS, netns_fd, self._hook)
            port.attachment.close()
            port.attachment = renewed
        port.users += 1
        undo.callback(self._release_port, ifindex)

    def _release_port(self, ifindex: int) -> None:
        port = self._ports[ifindex]
        port.users -= 1
        if port.users:
            return
        del self._ports[ifindex]
        port.attachment.close()
        self._kernel.maps["ports"].delete(pack_index(ifindex))
        unknown = self._kernel.maps["unknown"]
        for key in [key for key, _ in unknown.items() if RuleKey.unpack(key).ifindex == ifindex]:
            unknown.delete(key)
        self._free_slots.append(port.slot)

    def _stats(self, slot: int) -> Stats:
        data = self._kernel.maps["stats"].get(pack_index(slot))
        return Stats.sum(data) if data is not None else Stats()

    def _direction(self, slot: int) -> DirectionCounters:
        stats = self._stats(slot)
        policed = self._kernel.maps["buckets"].get(pack_index(slot))
        by_class = zip(POLICED_CLASSES, unpack_policed(policed or b""), strict=False)
        return DirectionCounters(
            _passed(stats),
            _dropped(stats),
            tuple(PolicedClass(name, _passed(each), _dropped(each)) for name, each in by_class),
        )


def _fixed(circuit: VirtualCircuit) -> tuple[object, ...]:
    """What cannot change while traffic flows."""
    return circuit.key, circuit.port_a, circuit.port_b, circuit.policer


def _rules(circuit: CircuitRecord) -> dict[bytes, bytes]:
    rules = {key.pack(): rule.pack() for key, rule in circuit.rules().items()}
    if len(rules) < 2:
        raise OSError(errno.EINVAL, "its two ends are the same port and tags; give them different ones")
    return rules


def _passed(stats: Stats) -> Traffic:
    return Traffic(stats.packets, stats.octets)


def _dropped(stats: Stats) -> Traffic:
    return Traffic(stats.dropped_packets, stats.dropped_octets)
