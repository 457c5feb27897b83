"""All nodes' policy flows, with a memory: a change costs what selects or names what changed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.policy.conjunctions import ISOLATION, Conjunction, ResolvedForm, number_of, resolved
from controller.policy.contexts import Contexts
from controller.policy.epochs import Epochs
from controller.policy.meanings import Meaning, rule_meaning
from controller.policy.precedence import first_priorities
from controller.policy.rules import Form, form_of
from controller.policy.selection import Scope, Selection, Selections
from controller.policy.subjects import Subjects
from controller.program import EMPTY, Layer
from kubinet.policies import Direction, Policy, Tier
from kubinet.state import ClusterState, Node, Pod, ServiceProxy

_DIRECTIONS: Final = tuple(Direction)


@dataclass(slots=True, eq=False)
class _Known:
    """A policy as it was compiled last."""

    policy: Policy
    places: tuple[int, ...]
    """OpenFlow priority of the first rule, by direction."""
    subject: Selection
    forms: Mapping[Direction, tuple[ResolvedForm, ...]]
    seen: Mapping[str, Pod] | None = None
    """The subject's pods that the nodes know."""

    def all_forms(self) -> Iterator[ResolvedForm]:
        """The rules of both directions."""
        for forms in self.forms.values():
            yield from forms


@dataclass(slots=True, eq=False)
class _Share:
    """What a node has of one policy."""

    tier: Tier
    directions: frozenset[Direction]
    pods: tuple[Pod, ...]
    clauses: Counter[tuple[Conjunction, int]]
    """Conjunctions with the ports of pods that are their subjects."""


_NOTHING: Final = _Share(Tier.NAMESPACE, frozenset(), (), Counter())


@dataclass(slots=True, eq=False)
class _NodePolicies:
    """One node's flows."""

    contexts: Contexts
    subjects: Subjects
    shares: dict[str, _Share] = field(default_factory=dict)
    rules: Layer = EMPTY
    entries: Layer = EMPTY
    epochs: Epochs = field(default_factory=Epochs)
    epoch: Layer = EMPTY


@dataclass(slots=True)
class PolicyCompiler:
    """Layers of all nodes for a state. Its nodes and network never change: another one is made then."""

    _selections: Selections = field(default_factory=Selections)
    _known: dict[str, _Known] = field(default_factory=dict)
    _forms: dict[Form, ResolvedForm] = field(default_factory=dict)
    _nodes: dict[str, _NodePolicies] = field(default_factory=dict)
    _numbers: dict[int, str] = field(default_factory=dict)
    _policies: Mapping[str, Policy] | None = None
    errors: dict[str, Exception] = field(default_factory=dict)
    """Nodes whose flows could not be made of the last state, and why."""
    unplaced: frozenset[str] = frozenset()
    """Cluster-wide policies without flows: there are more rules than OpenFlow has priorities."""

    def layers(self, node: Node) -> tuple[Layer, Layer, Layer]:
        """Rules, what leads to them, and what tells their packets from those of other rules."""
        own = self._nodes.get(node.name)
        return (EMPTY, EMPTY, EMPTY) if own is None else (own.rules, own.entries, own.epoch)

    @property
    def failures(self) -> Mapping[str, str]:
        """Policies that are not in force as they stand, and why."""
        left_out = (keys for node in self._nodes.values() for keys in node.contexts.failures.values())
        long = frozenset[str]().union(*left_out)
        return dict.fromkeys(sorted(long), "some of its rules have no flow: a pod or address is named by too many") | (
            dict.fromkeys(sorted(self.unplaced), "it has no flows: cluster-wide policies have too many rules together")
        )

    def update(self, state: ClusterState) -> None:
        """Bring the layers to the state."""
        if not state.policies and not self._known:
            self.unplaced = frozenset()
            return
        self._selections.update(state)
        touched = self._read(state)
        moved = self._resolve()
        for key, known in self._known.items():
            if known.seen is not known.subject.pods or any(form in moved for form in known.all_forms()):
                touched.add(key)
                known.seen = known.subject.pods
        self.errors.clear()
        for node in state.nodes.values():
            try:
                self._bring(state, node, touched, moved)
            except Exception as error:
                # The others go on; this one begins anew with the next state.
                self.errors[node.name] = error
                self._nodes.pop(node.name, None)
        if touched:
            self._forget()

    def deciders(self) -> Mapping[int, Meaning]:
        """What numbers in EGRESS_RULE and INGRESS_RULE stand for."""
        found = {}
        for form in self._forms.values():
            found.update(dict.fromkeys(form.numbers(), rule_meaning(form.form.direction, form.users)))
        for number, text in self._numbers.items():
            if number >= ISOLATION:
                _, direction, policies = text.split("|")
                found[number] = Meaning(Direction(direction), tuple(policies.split(",")))
        return found

    def _read(self, state: ClusterState) -> set[str]:
        """Policies that came, went or changed."""
        if self._policies is state.policies:
            return set()
        self._policies = state.policies
        firsts = {
            (tier, direction): first_priorities(state.policies.values(), tier, direction)
            for tier in (Tier.ADMIN, Tier.BASELINE)
            for direction in _DIRECTIONS
        }
        touched = self._known.keys() - state.policies.keys()
        for gone in touched:
            self._unuse(self._known.pop(gone))
        unplaced = set()
        for key, policy in state.policies.items():
            places = tuple(firsts.get((policy.tier, direction), {}).get(key, 0) for direction in _DIRECTIONS)
            known = self._known.get(key)
            if known is not None and known.places == places and (known.policy is policy or known.policy == policy):
                continue
            touched.add(key)
            if known is not None:
                self._unuse(self._known.pop(key))
            if _is_placed(policy, places):
                self._known[key] = self._compiled(state, policy, places)
            else:
                unplaced.add(key)
        self.unplaced = frozenset(unplaced)
        return touched

    def _compiled(self, state: ClusterState, policy: Policy, places: tuple[int, ...]) -> _Known:
        forms = {
            direction: tuple(
                self._form(state, policy, direction, index, place) for index in range(len(policy.rules(direction)))
            )
            for direction, place in zip(_DIRECTIONS, places, strict=True)
            if direction in policy.directions
        }
        return _Known(policy, places, self._selections.of(Scope.of(policy.subject, policy.namespace)), forms)

    def _form(self, state: ClusterState, policy: Policy, direction: Direction, index: int, place: int) -> ResolvedForm:
        form = form_of(policy, direction, index, place)
        known = self._forms.get(form)
        if known is None:
            known = self._forms[form] = resolved(form, self._selections, state.nodes.values(), self._number)
        known.users.add((policy.key, index))
        return known

    def _unuse(self, known: _Known) -> None:
        for forms in known.forms.values():
            for index, form in enumerate(forms):
                form.users.discard((known.policy.key, index))

    def _resolve(self) -> set[ResolvedForm]:
        """Forms whose peers or owner changed."""
        moved = set()
        for form in self._forms.values():
            before = form.version
            form.update()
            owner = min(form.users)[0] if form.users else form.owner
            if form.version != before or owner != form.owner:
                form.owner = owner
                moved.add(form)
        return moved

    def _bring(self, state: ClusterState, node: Node, touched: Iterable[str], moved: Iterable[ResolvedForm]) -> None:
        own = self._nodes.get(node.name)
        if own is None:
            kernel = state.network.services is ServiceProxy.NFTABLES
            own = self._nodes[node.name] = _NodePolicies(Contexts(), Subjects(node, kernel, self._isolation_number))
            touched = self._known
        for key in touched:
            known = self._known.get(key)
            pods = () if known is None else known.subject.by_node.get(node.name, ())
            before = own.shares.pop(key, _NOTHING)
            if known is not None and pods:
                own.shares[key] = after = _share(known, pods, node)
            else:
                after = _NOTHING
            _exchange(own, key, before, after)
        for form in moved:
            for conjunction in form.conjunctions():
                own.contexts.refresh(conjunction)
        own.rules, own.entries = own.contexts.layer(own.rules), own.subjects.layer(own.entries)
        own.epoch = own.epochs.layer(own.rules, own.entries)

    def _isolation_number(self, text: str) -> int:
        return self._free(number_of(text) | ISOLATION, text)

    def _number(self, text: str) -> int:
        return self._free(number_of(text), text)

    def _free(self, wanted: int, text: str) -> int:
        """The number of a text: its hash, or the next free number where two texts share one."""
        while self._numbers.setdefault(wanted, text) != text:
            wanted += 1
        return wanted

    def _forget(self) -> None:
        for form in [form for form, known in self._forms.items() if not known.users]:
            for number in self._forms.pop(form).numbers():
                del self._numbers[number]
        used = {selection.scope for form in self._forms.values() for selection in form.asked}
        self._selections.keep(used | {known.subject.scope for known in self._known.values()})


def _is_placed(policy: Policy, places: tuple[int, ...]) -> bool:
    if policy.tier is Tier.NAMESPACE:
        return True
    return all(place or not policy.rules(direction) for direction, place in zip(_DIRECTIONS, places, strict=True))


def _share(known: _Known, pods: tuple[Pod, ...], node: Node) -> _Share:
    clauses = Counter(
        (conjunction, pod.port(node))
        for form in known.all_forms()
        for pod in pods
        for conjunction in form.for_subject(pod)
    )
    return _Share(known.policy.tier, frozenset(known.forms), pods, clauses)


def _exchange(own: _NodePolicies, key: str, before: _Share, after: _Share) -> None:
    """What comes first, so that what both have is never taken away."""
    for (conjunction, port), count in (after.clauses - before.clauses).items():
        for _ in range(count):
            own.contexts.add(conjunction, port)
    for (conjunction, port), count in (before.clauses - after.clauses).items():
        for _ in range(count):
            own.contexts.remove(conjunction, port)
    if (before.pods, before.directions, before.tier) == (after.pods, after.directions, after.tier):
        return
    for direction in before.directions:
        for pod in before.pods:
            own.subjects.remove(key, direction, pod)
    for direction in after.directions:
        for pod in after.pods:
            own.subjects.add(key, after.tier, direction, pod)
