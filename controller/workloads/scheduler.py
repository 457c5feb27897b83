"""The scheduler as a pure function: pods without a node and the nodes in, bindings and reasons out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from controller.api.selectors import LabelSelector, Requirement, from_label_selector

Object = dict[str, Any]
_HostPort = tuple[str, int, str]
"""Protocol, port and address of a node that a pod wants."""
_ANY: Final = "0.0.0.0"

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_OPERATORS: Final = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}
_UNSCHEDULABLE: Final[Object] = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Binding:
    """A pod and the node that it gets."""

    namespace: str
    name: str
    node: str


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """A pod that no node takes, and why, in the scheduler's words."""

    namespace: str
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do."""

    bindings: tuple[Binding, ...] = ()
    failures: tuple[Unschedulable, ...] = ()


@dataclass(slots=True)
class _Node:
    name: str
    labels: Mapping[str, str]
    taints: Sequence[Object]
    ready: bool
    pods: int = 0
    capacity: int = 1 << 30
    host_ports: set[_HostPort] = field(default_factory=set)


def schedule(pending: Iterable[Object], placed: Iterable[Object], nodes: Iterable[Object]) -> Decision:
    """Bind every pending pod that a node takes: fewest pods first, then by node name; pods in the given order."""
    repelling: list[tuple[Object, str]] = []
    cluster = [_node(node) for node in sorted(nodes, key=lambda node: str(node["metadata"]["name"]))]
    by_name = {node.name: node for node in cluster}
    here: list[tuple[Object, str]] = []
    for pod in placed:
        node = by_name.get(pod["spec"].get("nodeName", ""))
        if node is not None:
            _place(pod, node, here, repelling)
    bindings: list[Binding] = []
    failures: list[Unschedulable] = []
    for pod in pending:
        metadata = pod["metadata"]
        refusals: dict[str, int] = {}
        chosen = None if (why := _unsupported(pod)) else _choose(pod, cluster, here, repelling, by_name, refusals)
        if chosen is not None:
            _place(pod, chosen, here, repelling)
            bindings.append(Binding(metadata["namespace"], metadata["name"], chosen.name))
        else:
            message = why or _message(refusals, len(cluster))
            failures.append(Unschedulable(metadata["namespace"], metadata["name"], message))
    return Decision(tuple(bindings), tuple(failures))


def _node(node: Object) -> _Node:
    spec, status = node.get("spec") or {}, node.get("status") or {}
    taints = list(spec.get("taints") or ())
    if spec.get("unschedulable"):
        taints.append(_UNSCHEDULABLE)
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    capacity = str((status.get("allocatable") or {}).get("pods", ""))
    limit = int(capacity) if capacity.isdigit() else 1 << 30
    return _Node(node["metadata"]["name"], node["metadata"].get("labels") or {}, taints, ready, capacity=limit)


def daemon_fit(spec: Object, node: Object) -> tuple[bool, bool]:
    """Whether a daemon of this pod spec shall run on a node, and whether one that runs there may stay.

    Affinity decides about both; a taint that is not tolerated keeps new ones away, NoExecute removes those there, too.
    """
    there = _node(node)
    wanted = spec.get("nodeSelector") or {}
    named = spec.get("nodeName") in (None, "", there.name)
    if not named or any(there.labels.get(key) != value for key, value in wanted.items()) or not _affine(spec, there):
        return False, False
    tolerations = spec.get("tolerations") or ()
    refused = [taint for taint in there.taints if not _tolerated(taint, tolerations)]
    effects = {taint["effect"] for taint in refused}
    return not effects & {"NoSchedule", "NoExecute"}, "NoExecute" not in effects


def _host_ports(pod: Object) -> set[_HostPort]:
    containers = pod["spec"].get("containers") or ()
    ports = [port for container in containers for port in container.get("ports") or () if port.get("hostPort")]
    return {(port.get("protocol", "TCP"), port["hostPort"], port.get("hostIP") or _ANY) for port in ports}


def _clash(wanted: set[_HostPort], taken: set[_HostPort]) -> bool:
    """The same port and protocol, on the same address or on all addresses."""
    return any(
        mine[:2] == other[:2] and (mine[2] == other[2] or _ANY in (mine[2], other[2]))
        for mine in wanted
        for other in taken
    )


def _place(pod: Object, node: _Node, here: list[tuple[Object, str]], repelling: list[tuple[Object, str]]) -> None:
    node.pods += 1
    node.host_ports |= _host_ports(pod)
    here.append((pod, node.name))
    if _terms(pod):
        repelling.append((pod, node.name))


def _unsupported(pod: Object) -> str:
    spec = pod["spec"]
    if spec.get("schedulingGates"):
        gates = [gate["name"] for gate in spec["schedulingGates"]]
        return f"Scheduling is blocked due to non-empty scheduling gates: {gates}"
    if ((spec.get("affinity") or {}).get("podAffinity") or {}).get(_REQUIRED):
        return f"spec.affinity.podAffinity.{_REQUIRED} is not supported by this scheduler: use nodeSelector or nodeName"
    for constraint in spec.get("topologySpreadConstraints") or ():
        if constraint.get("whenUnsatisfiable") == "DoNotSchedule" and constraint.get("minDomains"):
            return "spec.topologySpreadConstraints[].minDomains is not supported by this scheduler: leave it out"
    return ""


def _choose(
    pod: Object,
    cluster: list[_Node],
    here: list[tuple[Object, str]],
    repelling: list[tuple[Object, str]],
    by_name: Mapping[str, _Node],
    refusals: dict[str, int],
) -> _Node | None:
    spec = pod["spec"]
    ports = _host_ports(pod)
    blocked = _anti_affinity(pod, here if _terms(pod) else repelling, by_name)
    spread = _spread(pod, cluster, here, by_name)
    best: _Node | None = None
    for node in cluster:
        if best is not None and node.pods >= best.pods:
            continue  # cannot win; and its refusal does not matter as a node is found
        why = _refusal(spec, node, ports)
        if not why and any((key, node.labels.get(key)) in blocked for key in node.labels):
            why = "node(s) didn't match pod anti-affinity rules"
        if not why and any(node.name not in allowed for allowed in spread):
            why = "node(s) didn't match pod topology spread constraints"
        if why:
            refusals[why] = refusals.get(why, 0) + 1
        else:
            best = node
    return best


def _refusal(spec: Object, node: _Node, ports: set[_HostPort]) -> str:
    if not node.ready:
        return "node(s) were not ready"
    wanted = spec.get("nodeSelector") or {}
    if any(node.labels.get(key) != value for key, value in wanted.items()) or not _affine(spec, node):
        return "node(s) didn't match Pod's node affinity/selector"
    for taint in node.taints:
        if taint["effect"] != "PreferNoSchedule" and not _tolerated(taint, spec.get("tolerations") or ()):
            if taint is _UNSCHEDULABLE:
                return "node(s) were unschedulable"
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if node.pods >= node.capacity:
        return "Too many pods"
    if ports and _clash(ports, node.host_ports):
        return "node(s) didn't have free ports for the requested pod ports"
    return ""


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether a pod with this toleration may be where this taint is."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or (toleration.get("value") or "") == (taint.get("value") or "")


def _tolerated(taint: Object, tolerations: Sequence[Object]) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations)


def _affine(spec: Object, node: _Node) -> bool:
    needed = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED)
    return needed is None or any(_term(term, node) for term in needed.get("nodeSelectorTerms") or ())


def _term(term: Object, node: _Node) -> bool:
    labels, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not labels and not fields:
        return False  # an empty term matches nothing (API convention)
    return all(_requirement(e).matches(node.labels) for e in labels) and all(
        _requirement(e).matches({"metadata.name": node.name}) for e in fields
    )


def _requirement(expression: Object) -> Requirement:
    operator = _OPERATORS[expression["operator"]]
    return Requirement(expression["key"], operator, frozenset(expression.get("values") or ()))


def _terms(pod: Object) -> list[Object]:
    return list(((pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}).get(_REQUIRED) or ())


def _repelled(term: Object, owner: Object, other: Object) -> bool:
    """Whether a pod's anti-affinity term is about another pod."""
    namespaces = term.get("namespaces") or [owner["metadata"]["namespace"]]
    if other["metadata"]["namespace"] not in namespaces:
        return False
    return from_label_selector(term.get("labelSelector")).matches(other["metadata"].get("labels"))


def _anti_affinity(
    pod: Object, here: list[tuple[Object, str]], by_name: Mapping[str, _Node]
) -> set[tuple[str, str | None]]:
    """Topology domains (label, value) that this pod's terms, or placed pods' terms about it, exclude."""
    own = _terms(pod)
    blocked: set[tuple[str, str | None]] = set()
    for other, name in here:
        theirs = _terms(other) if "affinity" in other["spec"] else []
        pairs = [(term, pod, other) for term in own] + [(term, other, pod) for term in theirs]
        labels = by_name[name].labels
        blocked |= {(t["topologyKey"], labels.get(t["topologyKey"])) for t, one, two in pairs if _repelled(t, one, two)}
    return blocked


def _spread(
    pod: Object, cluster: list[_Node], here: list[tuple[Object, str]], by_name: Mapping[str, _Node]
) -> list[set[str]]:
    """Per topologySpreadConstraint that must hold: the nodes where it would."""
    found: list[set[str]] = []
    for constraint in pod["spec"].get("topologySpreadConstraints") or ():
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") != "DoNotSchedule":
            continue
        key, selector = constraint["topologyKey"], from_label_selector(constraint.get("labelSelector"))
        found.append(_spread_nodes(pod, key, selector, constraint["maxSkew"], cluster, here, by_name))
    return found


def _spread_nodes(
    pod: Object,
    key: str,
    selector: LabelSelector,
    skew: int,
    cluster: list[_Node],
    here: list[tuple[Object, str]],
    by_name: Mapping[str, _Node],
) -> set[str]:
    eligible = [node for node in cluster if key in node.labels and _affine(pod["spec"], node)]
    counts = {node.labels[key]: 0 for node in eligible}
    namespace = pod["metadata"]["namespace"]
    for other, name in here:
        domain = by_name[name].labels.get(key, "")
        same = other["metadata"]["namespace"] == namespace and domain in counts
        if same and selector.matches(other["metadata"].get("labels")):
            counts[domain] += 1
    least = min(counts.values(), default=0)
    own = 1 if selector.matches(pod["metadata"].get("labels")) else 0
    return {node.name for node in eligible if counts[node.labels[key]] + own - least <= skew}


def _message(refusals: Mapping[str, int], total: int) -> str:
    if not total:
        return "no nodes available to schedule pods"
    reasons = ", ".join(sorted(f"{count} {why}" for why, count in refusals.items()))
    return f"0/{total} nodes are available: {reasons}."
