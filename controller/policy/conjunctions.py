"""Forms resolved against a state: who the peers are, and what the ports are where they have names."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from hashlib import sha256
from ipaddress import IPv4Network
from typing import Final, TypeAlias

from controller.policy.blocks import networks
from controller.policy.rules import Form, Ports, names_ports, ports_at
from controller.policy.selection import Scope, Selection, Selections
from kubinet.policies import EVERYTHING, Direction
from kubinet.state import Node, Pod

Peers: TypeAlias = frozenset[IPv4Network] | None
"""Addresses of peers; None: every address."""

ISOLATION: Final = 1 << 31
"""Numbers from here on are of sets of policies that isolate a pod; those below are of conjunctions."""


_ALL_PODS: Final = Scope(None, EVERYTHING, EVERYTHING)


def canonical(value: object) -> str:
    """A value of the policies' in words that are the same in every process: sets in order."""
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(canonical, value)))}}}"
    if isinstance(value, tuple):
        return f"({','.join(map(canonical, value))})"
    if is_dataclass(value):
        parts = (canonical(getattr(value, one.name)) for one in fields(value))
        return f"{type(value).__name__}({','.join(parts)})"
    return str(value)


def number_of(text: str) -> int:
    """A positive number of 31 bits that stays the same in every process."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") % (ISOLATION - 1) + 1


@dataclass(slots=True, eq=False)
class Conjunction:
    """A form with its ports resolved; compared by identity."""

    form: "ResolvedForm"
    ports: Ports
    number: int
    clauses: int

    @property
    def peers(self) -> Peers:
        """Whom it is about at present."""
        return self.form.peers(self.ports)


@dataclass(slots=True, eq=False)
class ResolvedForm:
    """A form in a state. `version` grows when its peers do not stay the same."""

    form: Form
    number: Callable[[str], int]
    """A free number for a text."""
    selections: tuple[Selection, ...]
    everybody: Selection | None
    """All pods, where a port with a name may be any pod's."""
    fixed: frozenset[IPv4Network]
    """Addresses of blocks and nodes."""
    users: set[tuple[str, int]] = field(default_factory=set)
    """Policies by key, and the index of the rule in them."""
    version: int = 0
    owner: str = ""
    """The first by name of the policies that have such a rule."""
    _seen: tuple[Mapping[str, Pod], ...] | None = None
    _groups: Mapping[Ports, Peers] = field(default_factory=dict)
    _conjunctions: dict[Ports, Conjunction] = field(default_factory=dict)

    @property
    def _by_subject(self) -> bool:
        """Whether the ports depend on the subject: it is the destination of ingress."""
        return self.form.direction is Direction.INGRESS and names_ports(self.form)

    @property
    def asked(self) -> tuple[Selection, ...]:
        """All selections that it looks at."""
        return self.selections if self.everybody is None else (*self.selections, self.everybody)

    def update(self) -> None:
        """Look at the selections again."""
        seen = tuple(selection.pods for selection in self.asked)
        if self._seen is not None and all(one is other for one, other in zip(seen, self._seen, strict=True)):
            return
        self._seen = seen
        groups = self._grouped()
        if groups != self._groups:
            self._groups = groups
            self.version += 1

    def for_subject(self, pod: Pod) -> Iterator[Conjunction]:
        """The conjunctions that are about a pod as the policy's subject; those that match nothing are left out."""
        if self._by_subject:
            ports = ports_at(self.form.ports, pod)
            yield from self._live(ports)
        else:
            for ports in self._groups:
                yield from self._live(ports)

    def peers(self, ports: Ports) -> Peers:
        """The peers of the conjunction with these ports."""
        return self._groups.get(None if self._by_subject else ports, frozenset())

    def _live(self, ports: Ports) -> Iterator[Conjunction]:
        peers = self.peers(ports)
        if (ports is None or ports) and (peers is None or peers):
            yield self._conjunction(ports)

    def _conjunction(self, ports: Ports) -> Conjunction:
        known = self._conjunctions.get(ports)
        if known is None:
            text = canonical((self.form, ports))
            clauses = 1 + (self.peers(ports) is not None) + (ports is not None)
            known = self._conjunctions[ports] = Conjunction(self, ports, self.number(text), clauses)
        return known

    def conjunctions(self) -> Iterable[Conjunction]:
        """Those that were asked for."""
        return self._conjunctions.values()

    def numbers(self) -> Iterable[int]:
        """The numbers of its conjunctions."""
        return [conjunction.number for conjunction in self._conjunctions.values()]

    def _grouped(self) -> Mapping[Ports, Peers]:
        form = self.form
        anybody = form.scopes is None
        plain = None if self._by_subject else ports_at(form.ports, None)
        pods = {key: pod for selection in self.selections for key, pod in selection.pods.items()}
        if self._by_subject or not names_ports(form):
            return {plain: None if anybody else frozenset(map(_network, pods.values())) | self.fixed}
        if self.everybody is not None:
            pods |= {key: pod for key, pod in self.everybody.pods.items() if anybody or self._in_block(pod)}
        groups: dict[Ports, set[IPv4Network]] = {plain: set(self.fixed)}
        for pod in pods.values():
            groups.setdefault(ports_at(form.ports, pod), set()).add(_network(pod))
        peers: dict[Ports, Peers] = {ports: frozenset(found) for ports, found in groups.items()}
        return peers | {plain: None} if anybody else peers

    def _in_block(self, pod: Pod) -> bool:
        return any(block.contains(pod.address) for block in self.form.blocks)


def resolved(form: Form, selections: Selections, nodes: Iterable[Node], number: Callable[[str], int]) -> ResolvedForm:
    """A form in a state."""
    addresses = {
        IPv4Network(address)
        for node in nodes
        if any(selector.matches(node.labels) for selector in form.nodes)
        for address in (node.underlay.ip, node.pod_gateway)
    }
    selected = tuple(map(selections.of, sorted(form.scopes or (), key=repr)))
    # To addresses, on a port with a name: a pod that is there and has such a port is a peer of its own.
    named = form.direction is Direction.EGRESS and names_ports(form) and (form.scopes is None or form.blocks)
    everybody = selections.of(_ALL_PODS) if named else None
    return ResolvedForm(form, number, selected, everybody, networks(form.blocks) | addresses)


def _network(pod: Pod) -> IPv4Network:
    return IPv4Network(pod.address)
