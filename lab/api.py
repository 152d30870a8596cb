"""Labs from Python: deploy one, look at it, break it, prove it, take it away.

    from lab.api import deploy

    with deploy("contoso.edge.yml") as lab:
        assert lab.check().ok
        lab.exec("ce1", ["ip", "link", "set", "ams1", "down"])
        assert lab.check({"ping": ["pc1", "vm1"]}).ok

What each method does is what the verb of the same name does (README), by the same code. A Lab may be used
from any thread and by several at once: each call has a connection of its own. Everything raises
edge.errors.EdgeError, whose text is for people and says the way out: UsageError for names that do not exist,
InputError for a topology with all its problems, CapabilityError for what the machine lacks, DeadlineError for
what did not happen in time.
"""

from __future__ import annotations

import contextlib
import copy
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from edge.errors import DeadlineError, EdgeError, UsageError
from lab import apart, state
from lab.client import Client, take_away

if TYPE_CHECKING:
    from edge.bgp.state import RouteInfo
    from edge.net.capabilities import Asked
    from lab.checks.result import CheckResult
    from lab.model import LabModel
    from lab.view import LabView, SessionView
    from lab.watching import Recording

Topology: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any]"
"""A topology file's path, its text (more than one line), or the same as data."""

DEPLOY_WAIT_S = 30.0
"""Longest wait for the sessions of a lab that a program deploys."""

CHECK_DEADLINE_S = 10.0
"""How long each check may take to come true, as with `edgelab check`."""


def read(topology: Topology, directory: Path | None = None) -> LabModel:
    """What a topology describes. directory: where it begins to look for files; else the working directory.

    Raises InputError with every problem.
    """
    from lab import topology as topologies

    here = directory if directory is not None else Path.cwd()
    if isinstance(topology, Mapping):
        return topologies.of_document(copy.deepcopy(dict(topology)), here)
    if isinstance(topology, str) and "\n" in topology:
        return topologies.loads(topology, str(here / "topology"))
    return topologies.load(here / topology)


def deploy(
    topology: Topology | LabModel,
    name: str | None = None,
    *,
    links: Asked = "auto",
    wait_s: float | None = DEPLOY_WAIT_S,
    tied: bool = False,
) -> Lab:
    """Bring a lab up, or change the running lab of that name into the topology, and return it.

    name: instead of the topology's own. links: how VLAN tags are made. wait_s: how long to wait for all BGP
    sessions; those that did not come are in `Lab.pending`; None does not wait. tied: the lab ends with this
    process, also when that is killed; else it runs until somebody destroys it, as with `edgelab deploy`.
    """
    from lab.deploy import deploy as bring_up
    from lab.deploy import renamed
    from lab.model import LabModel
    from lab.own_routers import preflight

    model = topology if isinstance(topology, LabModel) else read(topology)
    if name is not None:
        model = renamed(model, name)
    preflight(model, runs_here=True)
    # Whoever is killed while it waits shall not leave a lab: the tie comes first.
    done = bring_up(
        model,
        links=links,
        step=False,
        wait_s=None if tied else wait_s,
        listener=lambda _: None,
        spawn=apart.spawn,
    )
    lab = Lab(state.find(done.name), pending=done.pending)
    try:
        if tied:
            lab.tie()
            if wait_s is not None:
                lab.pending = lab.waited(wait_s)
    except BaseException:
        if done.created:
            lab.destroy()
        raise
    if done.created:
        _began_here.add(lab)
    return lab


def find(name: str | None = None) -> Lab:
    """A lab that runs, whoever deployed it; without a name the only one. Raises UsageError."""
    return Lab(state.find(name))


class Lab:
    """A lab. As a context manager it is destroyed at the end of the block.

    name: what `edgelab list` calls it. pending: sessions that were not Established when `deploy` stopped
    waiting, as {namespace, session, neighbor, state}.
    """

    def __init__(self, directory: state.RunDirectory, pending: Sequence[dict[str, Any]] = ()) -> None:
        """See `deploy` and `find`, which make one."""
        self.directory = directory
        self.name = directory.name
        self.pending = tuple(pending)
        self._tie: Client | None = None

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    def __repr__(self) -> str:
        return f"Lab({self.name!r})"

    @property
    def running(self) -> bool:
        """Whether it is there, by whatever it was ended."""
        return self.directory.running()

    @property
    def model(self) -> LabModel:
        """What the lab was derived to be now: names, addresses and what they mean, never states."""
        with self.connect() as client:
            return client.model

    def connect(self) -> Client:
        """A connection to the lab's supervisor, for what has no method here; close it. See lab.access."""
        return Client(self.directory)

    def tie(self) -> None:
        """From now on the lab ends with this process, however that ends."""
        client = self.connect()
        try:
            client.request("tie")
        except BaseException:
            client.close()
            raise
        self._tie = client

    def destroy(self) -> None:
        """Take it away: processes, namespaces, links, files. Doing it twice is fine."""
        if self._tie is not None:
            self._tie.close()
            self._tie = None
        take_away(self.directory)
        _began_here.discard(self)

    def view(self) -> LabView:
        """Nodes, links with their tags, sessions and counters, all read now."""
        from lab.inspect import collect

        with self.connect() as client:
            return collect(client)

    def inspect(self) -> dict[str, Any]:
        """The same as plain data: what `edgelab inspect --format json` prints."""
        return self.view().to_json()

    def sessions(self) -> tuple[SessionView, ...]:
        """Both ends of every BGP session; `why` says why one is not established."""
        return self.view().sessions

    def status(self) -> dict[str, Any]:
        """What only the lab's supervisor knows: daemons, links, counters; see lab.access.LabAccess."""
        with self.connect() as client:
            return client.status()

    def events(self) -> list[dict[str, Any]]:
        """What has happened: steps, sessions, links, daemons, with `time` in seconds since 1970."""
        with self.connect() as client:
            return list(client.events(history=True, follow=False))

    def routes(self, node: str, prefix: str | None = None) -> tuple[RouteInfo, ...]:
        """The routes that BGP's routers in a node have chosen, for all prefixes or exactly one.

        node: a router, or one of its routing domains ("msee1-amsterdam.ams.private"). A user's own router
        is asked for one prefix at a time. Raises UsageError.
        """
        from lab.checks.routes import routing_domains
        from lab.routing import best_routes, chosen_routes

        wanted = _network(prefix) if prefix is not None else None
        found: list[RouteInfo] = []
        with self.connect() as client:
            for vrf in routing_domains(client.model, node):
                found += best_routes(client, vrf, wanted) if wanted else chosen_routes(client, vrf)
        return tuple(found)

    def wait(self, seconds: float = DEPLOY_WAIT_S) -> None:
        """Wait until all sessions that are not shut are up. Raises DeadlineError naming the others."""
        pending = self.waited(seconds)
        if pending:
            raise DeadlineError(f"lab {self.name}, after {seconds:g} s: {pending_words(pending)}")

    def waited(self, seconds: float) -> tuple[dict[str, Any], ...]:
        """Wait as `wait` does; the sessions that did not come, as in `pending`."""
        with self.connect() as client:
            return tuple(client.request("wait", None, seconds + 30.0, wait_s=seconds)["pending"])

    def check(self, *checks: Mapping[str, Any], deadline_s: float = CHECK_DEADLINE_S) -> Results:
        """Prove checks, each written as in a topology file; without any those of the topology.

        A topology that has none promises that all sessions are established and that hosts reach each other.
        Raises InputError for a check that cannot be meant.
        """
        from lab.checks import default_checks, run_checks
        from lab.topology import derive

        with self.connect() as client:
            model = client.model
            if checks:
                document = {**model.document, "checks": [dict(check) for check in checks]}
                wanted = derive(document, model.state).checks
            else:
                wanted = model.checks or default_checks(model)
            return Results(run_checks(client, wanted, deadline_s))

    def exec(
        self,
        node: str,
        command: Sequence[str],
        *,
        check: bool = False,
        input: str | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout_s: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a node to its end; its output is captured as text.

        node: a node, one of its namespaces, or the beginning of one that fits only one. The exit status is
        127 for a program that is not there. Raises EdgeError with check=True when it is not 0, DeadlineError
        when it has not ended after timeout_s; the program is ended then.
        """
        try:
            done = subprocess.run(
                self._entering(node, command),
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                env=dict(env) if env is not None else None,
                check=False,
            )
        except subprocess.TimeoutExpired:
            words = " ".join(command)
            raise DeadlineError(f"{node}: {words} has not ended after {timeout_s:g} s") from None
        done.args = list(command)
        if check and done.returncode:
            words = (done.stderr or done.stdout).strip()
            raise EdgeError(f"{node}: {' '.join(command)}: exit status {done.returncode}: {words}")
        return done

    def popen(self, node: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program in a node and leave it running; options are those of subprocess.Popen.

        It ends when it is terminated, at the latest with the lab.
        """
        return subprocess.Popen(self._entering(node, command), **options)

    def _entering(self, node: str, command: Sequence[str]) -> list[str]:
        from lab.commands.common import find_node
        from lab.own_routers import mounts_of

        if isinstance(command, str) or not command:
            raise UsageError(f"a command is a list of words, such as ['ip', 'route'], not {command!r}")
        with self.connect() as client:
            _, namespace = find_node(client.model, node)
            mounts = mounts_of(client.model, client.directory.own_routers, namespace)
            return apart.entering(client.supervisor_pid, namespace, command, mounts)

    @contextlib.contextmanager
    def capture(self, where: str, path: str | os.PathLike[str] | None = None) -> Iterator[Recording]:
        """Record every frame where `where` says, tags included, for as long as the block runs.

        where: as with `edgelab capture`: a link, a circuit, a node, or NODE:DEVICE. path: keep it as
        pcapng there. Listening has begun when the block begins; `Recording.frames` are there after it.
        """
        from lab.watching import record_while

        with self.connect() as client, record_while(client, where, path) as recording:
            yield recording

    def fault(self, kind: str, target: str, *, name: str = "", **options: object) -> Fault:
        """Let something go wrong, as `edgelab fault KIND TARGET` does, until it is healed.

        options: those of the kind, as people write them: fault("loss", "ams/primary", part="2%"). name: to
        heal it by. With `with` it is healed at the end of the block. Raises UsageError for words that mean
        no fault, EdgeError when it could not be done; the lab then is as it was.
        """
        from lab.faults.calls import inject

        written = {option.replace("_", "-"): str(value) for option, value in options.items()}
        with self.connect() as client:
            return Fault(self, inject(client, kind, target, written, name=name)["fault"])

    def faults(self) -> list[dict[str, Any]]:
        """The active faults, the oldest first."""
        from lab.faults.calls import active

        with self.connect() as client:
            found: list[dict[str, Any]] = active(client)
        return found

    def heal(self, *names: str) -> list[str]:
        """Heal the faults of these names, or all; the names of those that were. Raises UsageError."""
        from lab.faults.calls import heal

        with self.connect() as client:
            return [str(fault["name"]) for fault in heal(client, names or None)["healed"]]

    def service(self, *words: str, wait_s: float = 0.0) -> dict[str, Any]:
        """Give the lab's ExpressRoute service an order, in the words of the command line.

        For example `service("circuit", "bandwidth", "ams", "500M")`. wait_s: longest wait for sessions that
        can come up then. Returns what `--format json` prints of it. Raises lab.refused.RefusedError, with
        code and way out, when the service says no; nothing has changed then.
        """
        from dataclasses import replace

        from lab.commands.service import answer_json, carry_out, order_of

        order = order_of(words)
        order = replace(order, wait=wait_s or order.wait)
        with self.connect() as client:
            return answer_json(order, *carry_out(client, order))


class Fault:
    """A fault that is active in a lab. told: what `edgelab fault list` says of it."""

    def __init__(self, lab: Lab, told: dict[str, Any]) -> None:
        """See Lab.fault, which makes one."""
        self.lab = lab
        self.told = told
        self.name = str(told["name"])

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()

    @property
    def active(self) -> bool:
        """Whether it is still there: some heal by themselves, and anybody may heal them."""
        mine = (self.name, self.told["since"])
        return any((one["name"], one["since"]) == mine for one in self.lab.faults())

    def heal(self) -> None:
        """Take it back, unless that has happened."""
        from lab.faults.calls import heal_if_active

        with self.lab.connect() as client:
            heal_if_active(client, self.told)


class Results(tuple["CheckResult", ...]):
    """What checks came to, in their order; prints as a line for each that does not hold."""

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Whether all hold."""
        return all(result.ok for result in self)

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """Those that do not."""
        return tuple(result for result in self if not result.ok)

    def __repr__(self) -> str:
        return f"<{'; '.join(self._lines())}>"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        from lab.checks.result import title

        yield f"{len(self) - len(self.failed)} of {len(self)} checks hold"
        yield from (f"{title(result.check)}: {result.words}" for result in self.failed)


def pending_words(pending: Sequence[Mapping[str, Any]]) -> str:
    """Sessions that are not up, in one line."""
    return "; ".join(
        f"session {item['session']} of {item['namespace']} to {item['neighbor']} is not up: {item['state']}"
        for item in pending
    )


def _network(prefix: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(prefix)
    except ValueError as error:
        raise UsageError(f"{error}; write a prefix such as 10.50.0.0/16") from None


class _Began:
    """The labs that this process has deployed and not destroyed, for who must not leave any."""

    def __init__(self) -> None:
        self._labs: dict[Path, Lab] = {}
        self._lock = threading.Lock()

    def add(self, lab: Lab) -> None:
        with self._lock:
            self._labs[lab.directory.path] = lab

    def discard(self, lab: Lab) -> None:
        with self._lock:
            self._labs.pop(lab.directory.path, None)

    def running(self) -> tuple[Lab, ...]:
        with self._lock:
            labs = tuple(self._labs.values())
        return tuple(lab for lab in labs if lab.running)


_began_here = _Began()


def began_here() -> tuple[Lab, ...]:
    """The labs that this process has deployed and that still run."""
    return _began_here.running()
