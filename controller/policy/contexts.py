"""One node's policy flows: contexts, each a match with the conjunctions that it is a clause of.

A context is shared by all rules that name the same pod, address or port, so flows grow with the sum of these and a
change rewrites only the contexts that it touches.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Final, NamedTuple

from controller.features.common import BridgeFlow, Maker
from controller.openflow.actions import Action as FlowAction
from controller.openflow.actions import Conjunction as Clause
from controller.openflow.actions import Goto, load
from controller.openflow.fields import CONJ_ID, IP, IPV4_DST, IPV4_SRC, Term
from controller.openflow.flow import Category, Owner
from controller.pipeline import (
    EGRESS_POLICY,
    INGRESS_POLICY,
    L3_FORWARD,
    POLICY_ACCEPT,
    POLICY_DENY,
    Priority,
    Table,
    goto,
)
from controller.policy.conjunctions import Conjunction, Peers
from controller.policy.ports import FragmentTerm, PortTerm
from controller.policy.rules import Form
from controller.program import Layer, Part, PartKey, parts_by_bridge
from controller.registers import EGRESS_RULE, INGRESS_RULE, OUTPUT_PORT, SENDER
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.policies import Action, Direction, Tier

MOST_CLAUSES: Final = 4_000
"""Conjunctions that one flow may be a clause of: a message has 64 KiB."""
ALLOW_ALL: Final = Priority.NORMAL + 5
"""NetworkPolicy rules without peers and ports: no conjunction is asked for their pods."""


class PeerTerm(NamedTuple):
    """A peer's addresses; as numbers, because contexts are looked up by the thousand and networks hash slowly."""

    address: int
    prefix: int


class Context(NamedTuple):
    """A match of one table: of a local pod by its port, of a peer, of ports, or of a whole conjunction."""

    table: Table
    priority: int
    term: int | PeerTerm | PortTerm | FragmentTerm | Conjunction
    alone: bool = False
    """The rule has no other clause: the flow decides."""


@dataclass(slots=True, eq=False)
class _Installed:
    """A conjunction that the node has flows of."""

    subjects: dict[int, int]
    """Ports of local pods, each with the number of rules that bring it."""
    peers: Peers
    owner: str


@dataclass(slots=True, eq=False)
class Contexts:
    """All of a node's conjunctions. `layer` brings the flows up to what was added and removed since."""

    failures: dict[Context, frozenset[str]] = field(default_factory=dict)
    """Flows with too many clauses, and the policies whose rules they leave out."""
    _installed: dict[Conjunction, _Installed] = field(default_factory=dict)
    _clauses: dict[Context, dict[Conjunction, int]] = field(default_factory=dict)
    _parts: dict[PartKey, Part] = field(default_factory=dict)
    _dirty: set[Context] = field(default_factory=set)

    def add(self, conjunction: Conjunction, subject: int) -> None:
        """One more rule of the conjunction's form selects the local pod at this port."""
        known = self._installed.get(conjunction)
        if known is None:
            known = self._installed[conjunction] = _Installed({}, conjunction.peers, conjunction.form.owner)
            self._put_shared(conjunction, known.peers)
        count = known.subjects.get(subject, 0)
        known.subjects[subject] = count + 1
        if not count:
            self._put(self._subject(conjunction, subject), conjunction, 0)

    def remove(self, conjunction: Conjunction, subject: int) -> None:
        """The reverse of one `add`."""
        known = self._installed[conjunction]
        known.subjects[subject] -= 1
        if known.subjects[subject]:
            return
        del known.subjects[subject]
        self._drop(self._subject(conjunction, subject), conjunction)
        if not known.subjects:
            del self._installed[conjunction]
            self._drop_shared(conjunction, known.peers)

    def refresh(self, conjunction: Conjunction) -> None:
        """The conjunction's peers or owner may have changed."""
        known = self._installed.get(conjunction)
        if known is None:
            return
        if known.owner != conjunction.form.owner:
            known.owner = conjunction.form.owner
            self._dirty.update(self._all(conjunction, known))
        peers = conjunction.peers
        if peers is known.peers or known.peers is None or peers is None:
            return
        for gone in known.peers - peers:
            self._drop(_context(conjunction, _peer(gone)), conjunction)
        for come in peers - known.peers:
            self._put(_context(conjunction, _peer(come)), conjunction, 1)
        known.peers = peers

    def layer(self, before: Layer) -> Layer:
        """The flows; `before` itself when nothing changed."""
        if not self._dirty:
            return before
        parts = dict(self._parts)
        for context in self._dirty:
            self.failures.pop(context, None)
            clauses = self._clauses.get(context)
            if clauses:
                parts[context] = parts_by_bridge(self._flows(context, clauses))[INTEGRATION_BRIDGE]
            else:
                parts.pop(context, None)
        self._parts = parts
        self._dirty.clear()
        return Layer(parts)

    def _subject(self, conjunction: Conjunction, subject: int) -> Context:
        form = conjunction.form.form
        if conjunction.clauses > 1:
            return _context(conjunction, subject)
        priority = ALLOW_ALL if form.tier is Tier.NAMESPACE else form.priority
        return Context(form.table, priority, subject, alone=True)

    def _all(self, conjunction: Conjunction, known: _Installed) -> Iterator[Context]:
        for subject in known.subjects:
            yield self._subject(conjunction, subject)
        yield from _shared(conjunction, known.peers)

    def _put_shared(self, conjunction: Conjunction, peers: Peers) -> None:
        for context in _shared(conjunction, peers):
            last = conjunction.clauses - 1 if isinstance(context.term, PortTerm | FragmentTerm) else 1
            self._put(context, conjunction, last)

    def _drop_shared(self, conjunction: Conjunction, peers: Peers) -> None:
        for context in _shared(conjunction, peers):
            self._drop(context, conjunction)

    def _put(self, context: Context, conjunction: Conjunction, clause: int) -> None:
        self._clauses.setdefault(context, {})[conjunction] = clause
        self._dirty.add(context)

    def _drop(self, context: Context, conjunction: Conjunction) -> None:
        clauses = self._clauses[context]
        del clauses[conjunction]
        if not clauses:
            del self._clauses[context]
        self._dirty.add(context)

    def _flows(self, context: Context, clauses: dict[Conjunction, int]) -> Iterator[BridgeFlow]:
        conjunctions = sorted(clauses, key=lambda conjunction: conjunction.number)
        if len(conjunctions) > MOST_CLAUSES:
            # Rules are left out, not isolation: what they would allow is denied, and their policies' owners are told.
            left_out = conjunctions[MOST_CLAUSES:]
            self.failures[context] = frozenset(key for one in left_out for key, _ in one.form.users)
            conjunctions = conjunctions[:MOST_CLAUSES]
        owner = min(conjunction.form.owner for conjunction in conjunctions)
        make = Maker(owner_of(owner), Category.POLICY)
        first = conjunctions[0]
        actions: tuple[FlowAction, ...]
        if context.alone or isinstance(context.term, Conjunction):
            actions = verdict(first.form.form, first.number)
        else:
            actions = tuple(Clause(one.number, clauses[one], one.clauses) for one in conjunctions)
        yield make(context.table, context.priority, (IP, *_terms(context, first.form.form.direction)), *actions)


def owner_of(key: str) -> Owner:
    """The policy object of a `Policy.key` as an owner."""
    kind, *namespace, name = key.split("/")
    return Owner(kind, name, *namespace)


def verdict(form: Form, number: int) -> tuple[FlowAction, ...]:
    """What a rule does with what it matches; its number stays in a register for traces and logs."""
    egress = form.direction is Direction.EGRESS
    return load(EGRESS_RULE if egress else INGRESS_RULE, number), target(form)


def target(form: Form) -> Goto:
    """Where packets go on that a rule matches."""
    egress = form.direction is Direction.EGRESS
    if form.action is Action.DENY:
        return goto(POLICY_DENY)
    if form.action is Action.PASS and form.tier is Tier.ADMIN:
        return goto(EGRESS_POLICY if egress else INGRESS_POLICY)
    return goto(L3_FORWARD if egress else POLICY_ACCEPT)


def _context(conjunction: Conjunction, term: int | PeerTerm | PortTerm | FragmentTerm | Conjunction) -> Context:
    form = conjunction.form.form
    return Context(form.table, form.priority, term)


def _peer(network: IPv4Network) -> PeerTerm:
    return PeerTerm(int(network.network_address), network.prefixlen)


def _shared(conjunction: Conjunction, peers: Peers) -> Iterator[Context]:
    """What a conjunction has beside its subjects."""
    if conjunction.clauses == 1:
        return
    for peer in peers or ():
        yield _context(conjunction, _peer(peer))
    for port in conjunction.ports or ():
        yield _context(conjunction, port)
    if conjunction.form.form.action is Action.DENY:
        for protocol in {port.protocol for port in conjunction.ports or ()}:
            yield _context(conjunction, FragmentTerm(protocol))
    yield _context(conjunction, conjunction)


def _terms(context: Context, direction: Direction) -> tuple[Term, ...]:
    egress = direction is Direction.EGRESS
    match context.term:
        case int():
            return ((SENDER if egress else OUTPUT_PORT)(context.term),)
        case PeerTerm(address, prefix):
            network = IPv4Network((address, prefix))
            return ((IPV4_DST if egress else IPV4_SRC)(network),) if prefix else ()
        case PortTerm() | FragmentTerm():
            return context.term.terms()
        case Conjunction():
            return (CONJ_ID(context.term.number),)
