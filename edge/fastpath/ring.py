"""The tag plane in user space (`ring`): for machines that have no VLAN devices and give no BPF.

Needs CAP_NET_ADMIN and CAP_NET_RAW over the lab's namespaces, which the owner of a user namespace has.
The engine (edge.fastpath.ringprocess, csrc/ring.h) reads and writes devices by packet sockets that are
opened here, inside their namespaces. A subinterface is always one end of a veth in its VRF: what the VRF
sends comes out at the inner end, beside the port, where a packet socket can read it, and what the engine
sends there arrives in the VRF. A macvlan would not do: what a packet socket sends on it leaves by the port,
and there is no way to have it received.

Same objects, same rules, same counters as edge.fastpath.tagplane; `found` reads the engine's tables back.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from edge.errors import CapabilityError, EdgeError, KernelError
from edge.fastpath.counters import TagCounters
from edge.fastpath.layout import Action, Rule, RuleKey, SubinterfaceEntry
from edge.fastpath.offloads import take_tcp_only
from edge.fastpath.refusals import already_there, kernel_error, not_there
from edge.fastpath.registry import (
    CircuitRecord,
    Policers,
    SubinterfaceRecord,
    read_circuit,
    read_subinterface,
)
from edge.fastpath.ringcounters import read_counters
from edge.fastpath.ringhost import Stages, Where
from edge.fastpath.ringimpairments import RingImpairments
from edge.fastpath.ringmarks import RingMarks
from edge.fastpath.ringports import Port, open_port
from edge.fastpath.ringprocess import PORTS, SLOTS, Op, PortTraffic, RingProcess, running
from edge.fastpath.ringqueues import RingQueues
from edge.net.namespaces import inside, scratch_namespace
from edge.net.objects.base import Endpoint, Key
from edge.net.objects.frames import SubinterfaceTags, VirtualCircuit


class RingPlane:
    """The tag plane of one process, with one engine. Methods may be called from several threads.

    netns_fd: gives the descriptor of a subinterface's namespace by name. marks, queues, impairments: what the
    same engine does for those objects. Raises CapabilityError when the engine is not built or no process
    can be started.
    """

    def __init__(self, netns_fd: Callable[[str], int]) -> None:
        self._netns_fd = netns_fd
        self.lock = threading.RLock()
        self.marks, self.queues, self.impairments = RingMarks(self), RingQueues(self), RingImpairments(self)
        self._stages: tuple[Stages, ...] = (self.marks, self.queues, self.impairments)
        self._ports: dict[int, Port] = {}
        self._subinterfaces: dict[Key, SubinterfaceRecord] = {}
        self._circuits: dict[Key, CircuitRecord] = {}
        self._free_slots = list(range(SLOTS - 1, -1, -1))
        self._policers = Policers(self._take_slot, self._free_slots.extend)
        self._free_numbers = list(range(PORTS - 1, 0, -1))
        self.engine = _start()

    @staticmethod
    def probe() -> str | None:
        """None when the engine works here, else the reason in words: it starts, and takes a packet socket."""
        try:
            with running() as engine, scratch_namespace() as netns_fd, open_port(1, netns_fd) as sock:
                engine.ask(Op.PORT_ADD, 1, descriptor=sock.fileno())
        except CapabilityError as error:
            return error.missing
        except OSError as error:
            return f"packet sockets for the engine are refused: {error.strerror or error}"
        return None

    @property
    def pid(self) -> int:
        """The engine's process."""
        return self.engine.pid

    @property
    def pidfd(self) -> int:
        """Readable when the engine has ended; another one after `restart`."""
        return self.engine.pidfd

    def ending(self) -> str:
        """How the engine ended, in words; only when it did."""
        return self.engine.ending()

    def add_subinterface(
        self, obj: SubinterfaceTags, *, sub: int, port: int, inner: int | None, netns_fd: int
    ) -> None:
        """Join a subinterface to its port; see TagPlane.add_subinterface. `inner` is needed here."""
        with self._adding(obj) as undo:
            if obj.key in self._subinterfaces:
                self._refuse_unless_broken(obj)
                self.remove_subinterface(obj)
            if inner is None or obj.inner is None:
                raise OSError(errno.EINVAL, "in user space a subinterface is a veth; give its inner end")
            with inside(self._netns_fd(obj.sub.namespace)):
                take_tcp_only(obj.sub.device)
            tx_slot, rx_slot = self._take_slot(undo), self._take_slot(undo)
            trunk = self._use_port(port, obj.port, netns_fd, undo)
            beside = self._use_port(inner, obj.inner, netns_fd, undo)
            record = SubinterfaceRecord(obj, beside.number, trunk.number, tx_slot, rx_slot, beside)
            for key, rule in _subinterface_rules(record).items():
                self.engine.ask(Op.RULE_PUT, body=key + rule)
                undo.callback(self.withdraw, Op.RULE_DELETE, body=key)
            self.engine.ask(Op.SUBINTERFACE_PUT, beside.number, _entry(record))
            self._subinterfaces[obj.key] = record
            undo.callback(self._subinterfaces.pop, obj.key)
            self._arrived(obj.sub)

    def remove_subinterface(self, obj: SubinterfaceTags) -> None:
        """Part a subinterface from its port. Raises KernelError when it is unknown."""
        with self._changing(obj):
            known = self._subinterfaces.pop(obj.key, None)
            if known is None:
                raise not_there()
            self._gone(obj.sub)
            for key in _subinterface_rules(known):
                self.withdraw(Op.RULE_DELETE, body=key)
            self.withdraw(Op.SUBINTERFACE_DELETE, known.hook)
            self._release_port(known.hook)
            self._release_port(known.port)
            self._free_slots += (known.rx_slot, known.tx_slot)

    def add_circuit(self, obj: VirtualCircuit, *, port_a: int, port_b: int, netns_fd: int) -> None:
        """Join two ports by a virtual circuit; see TagPlane.add_circuit."""
        with self._adding(obj) as undo:
            if obj.key in self._circuits:
                self._refuse_unless_broken(obj)
                self.remove_circuit(obj)
            a, b = (
                self._use_port(ifindex, Endpoint(obj.namespace, device), netns_fd, undo)
                for ifindex, device in ((port_a, obj.port_a), (port_b, obj.port_b))
            )
            slots = (self._take_slot(undo), self._take_slot(undo))
            circuit = CircuitRecord(obj, a.number, b.number, slots, self._policers.use(obj, slots, undo))
            for key, rule in _circuit_rules(circuit).items():
                self.engine.ask(Op.RULE_PUT, body=key + rule)
                undo.callback(self.withdraw, Op.RULE_DELETE, body=key)
            self._circuits[obj.key] = circuit

    def change_circuit(self, before: VirtualCircuit, after: VirtualCircuit) -> None:
        """Give a circuit another rate or other tags while traffic flows; see TagPlane.change_circuit."""
        with self._adding(after) as undo:
            known = self._circuits.get(before.key)
            if known is None:
                raise not_there()
            if _fixed(after) != _fixed(known.obj):
                words = "name, ports and policer are fixed; remove the circuit and add the new one"
                raise OSError(errno.EINVAL, words)
            changed = replace(known, obj=after)
            old, new = _circuit_rules(known), _circuit_rules(changed)
            for key, rule in new.items():
                if key in old:
                    self.engine.ask(Op.RULE_CHANGE, body=key + rule)
                    undo.callback(self.withdraw, Op.RULE_CHANGE, body=key + old[key])
                else:
                    self.engine.ask(Op.RULE_PUT, body=key + rule)
                    undo.callback(self.withdraw, Op.RULE_DELETE, body=key)
            for key in old.keys() - new.keys():
                self.engine.ask(Op.RULE_DELETE, body=key)
            self._circuits[after.key] = changed

    def remove_circuit(self, obj: VirtualCircuit) -> None:
        """Take a virtual circuit away. Raises KernelError when it is unknown."""
        with self._changing(obj):
            known = self._circuits.pop(obj.key, None)
            if known is None:
                raise not_there()
            for key in _circuit_rules(known):
                self.withdraw(Op.RULE_DELETE, body=key)
            self._release_port(known.port_a)
            self._release_port(known.port_b)
            self._policers.release(known.obj)
            self._free_slots += known.slots

    def found(self) -> set[SubinterfaceTags | VirtualCircuit]:
        """What the engine really does, read back from its tables; nothing when it has ended."""
        with self.lock:
            if not self.engine.alive():
                return set()
            rules = {RuleKey.unpack(key): Rule.unpack(value) for key, value in self.engine.rules()}
            ports = {port.number: port.endpoint for port in self._ports.values() if port.alive()}
            found: set[SubinterfaceTags | VirtualCircuit] = set()
            for sub in self._subinterfaces.values():
                data = self.engine.subinterface(sub.hook)
                if data is None or sub.hook not in ports:
                    continue
                obj = read_subinterface(sub, SubinterfaceEntry.unpack(data), rules, ports)
                found |= {obj} if obj else set()
            for circuit in self._circuits.values():
                joined = read_circuit(circuit, rules, ports, self._policers)
                found |= {joined} if joined else set()
            return found

    def counters(self) -> TagCounters:
        """All counters at this moment; those of an engine that was started anew begin at zero."""
        with self.lock:
            ports = {port.number: port.endpoint for port in self._ports.values()}
            return read_counters(self.engine, self._subinterfaces.values(), self._circuits.values(), ports)

    def traffic(self) -> dict[Endpoint, tuple[PortTraffic, int]]:
        """What each socket came to, and how many frames the kernel had no room for: for those who measure."""
        with self.lock:
            return {
                port.endpoint: (self.engine.traffic(port.number), port.missed())
                for port in self._ports.values()
            }

    def restart(self) -> None:
        """A new engine in place of one that ended, with all rules. Raises EdgeError."""
        with self.lock:
            # The new one first: if there is none to be had, the old one can still be asked what it was.
            fresh = _start()
            self.engine.close()
            self.engine = fresh
            try:
                for port in self._ports.values():
                    self.engine.ask(Op.PORT_ADD, port.number, descriptor=port.sock.fileno())
                for sub in self._subinterfaces.values():
                    for key, rule in _subinterface_rules(sub).items():
                        self.engine.ask(Op.RULE_PUT, body=key + rule)
                    self.engine.ask(Op.SUBINTERFACE_PUT, sub.hook, _entry(sub))
                for circuit in self._circuits.values():
                    for key, rule in _circuit_rules(circuit).items():
                        self.engine.ask(Op.RULE_PUT, body=key + rule)
                for port in self._ports.values():
                    self._arrived(port.endpoint)
                for sub in self._subinterfaces.values():
                    self._arrived(sub.obj.sub)
            except OSError as error:
                raise EdgeError(f"the engine that carries tags does not come back: {error}") from error

    def where(self, at: Endpoint) -> Where | None:
        """The engine's port for a device; a subinterface's is the inner end of its veth."""
        sub = self._subinterfaces.get(SubinterfaceTags(at, at, ()).key)
        if sub is not None:
            return Where(sub.hook, turned=True)
        port = next((port for port in self._ports.values() if port.endpoint == at), None)
        return None if port is None else Where(port.number, turned=False)

    def _arrived(self, at: Endpoint) -> None:
        for stage in self._stages:
            stage.arrived(at)

    def _gone(self, at: Endpoint) -> None:
        for stage in self._stages:
            stage.gone(at)

    def close(self) -> None:
        """End the engine and free everything. The object is of no use afterwards."""
        with self.lock:
            self.engine.close()
            self.marks.close()
            for port in self._ports.values():
                port.close()
            self._subinterfaces.clear()
            self._circuits.clear()
            self._ports.clear()

    @contextlib.contextmanager
    def _changing(self, obj: object) -> Iterator[None]:
        with self.lock:
            try:
                yield
            except OSError as error:
                raise kernel_error(obj, error) from error
            except ValueError as error:
                raise KernelError(str(obj), errno.EINVAL, str(error)) from error

    @contextlib.contextmanager
    def _adding(self, obj: object) -> Iterator[contextlib.ExitStack]:
        """Undo what was done so far when the block raises."""
        with self._changing(obj), contextlib.ExitStack() as undo:
            yield undo
            undo.pop_all()

    def _refuse_unless_broken(self, obj: SubinterfaceTags | VirtualCircuit) -> None:
        """An object whose device went away behind our back may be added again."""
        if obj.key in {whole.key for whole in self.found()}:
            raise already_there()

    def _take_slot(self, undo: contextlib.ExitStack) -> int:
        if not self._free_slots:
            raise OSError(errno.ENOSPC, "the tag plane's tables are full; a second lab has its own")
        slot = self._free_slots.pop()
        undo.callback(self._free_slots.append, slot)
        self.engine.ask(Op.SLOT_CLEAR, slot)
        return slot

    def _use_port(self, ifindex: int, endpoint: Endpoint, netns_fd: int, undo: contextlib.ExitStack) -> Port:
        port = next((p for p in self._ports.values() if p.endpoint == endpoint), None)
        if port is None:
            if not self._free_numbers:
                raise OSError(errno.ENOSPC, "the tag plane has no place for more ports")
            sock = open_port(ifindex, netns_fd)
            try:
                self.engine.ask(Op.PORT_ADD, self._free_numbers[-1], descriptor=sock.fileno())
            except BaseException:
                sock.close()
                raise
            port = Port(self._free_numbers.pop(), endpoint, sock)
            self._ports[port.number] = port
            port.users += 1
            undo.callback(self._release_port, port.number)
            self._arrived(endpoint)
            return port
        if not port.alive():
            # The device was deleted and made again.
            sock = open_port(ifindex, netns_fd)
            try:
                self.engine.ask(Op.PORT_RENEW, port.number, descriptor=sock.fileno())
            except BaseException:
                sock.close()
                raise
            port.sock.close()
            port.sock = sock
        port.users += 1
        undo.callback(self._release_port, port.number)
        return port

    def _release_port(self, number: int) -> None:
        port = self._ports[number]
        port.users -= 1
        if port.users:
            return
        del self._ports[number]
        port.close()
        self._free_numbers.append(number)
        self._gone(port.endpoint)
        self.withdraw(Op.PORT_REMOVE, number)

    def withdraw(self, op: Op, port: int = 0, body: bytes = b"") -> None:
        """Have the engine end something; one that has ended does nothing any more. Raises OSError."""
        try:
            self.engine.ask(op, port, body)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise


def _start() -> RingProcess:
    try:
        return RingProcess()
    except OSError as error:
        raise CapabilityError(
            f"no process for the engine that carries tags: {error.strerror}",
            "end some processes of yours, or raise the limit: ulimit -u",
        ) from error


def _subinterface_rules(record: SubinterfaceRecord) -> dict[bytes, bytes]:
    tags = record.obj.tags
    rule = Rule(record.hook, record.rx_slot, Action.TO_PEER, len(tags), depth=len(tags))
    return {RuleKey.of(record.port, tags).pack(): rule.pack()}


def _entry(record: SubinterfaceRecord) -> bytes:
    return SubinterfaceEntry(record.port, record.tx_slot, record.obj.tags).pack()


def _fixed(circuit: VirtualCircuit) -> tuple[object, ...]:
    """What cannot change while traffic flows."""
    return circuit.key, circuit.port_a, circuit.port_b, circuit.policer


def _circuit_rules(circuit: CircuitRecord) -> dict[bytes, bytes]:
    rules = {key.pack(): rule.pack() for key, rule in circuit.rules().items()}
    if len(rules) < 2:
        raise OSError(errno.EINVAL, "its two ends are the same port and tags; give them different ones")
    return rules
