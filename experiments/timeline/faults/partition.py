"""Groups of nodes that exchange no packet, by flows of their own on the nodes' bridges to the underlay.

A drop stands on both sides, before everything else on br-phy, which all packets of a node pass whatever the datapath
and overlay: by the other nodes' underlay addresses and, for direct routing, their pod CIDRs. Cookies have the top bit
set: no round of the controller sweeps them. The controller's channel is the management network; it is cut only where
`controller` is a group.
"""

import itertools
import shlex
import zlib
from collections.abc import Iterator
from typing import Final

from experiments.timeline.actions import CONTROL, Partition
from experiments.timeline.faults.base import Case, Fault, Memory
from experiments.timeline.site import Check, Site
from kubinet.addressing import UNDERLAY_PORT
from kubinet.errors import UsageError
from kubinet.state import NodeFacts

_COOKIE: Final = 0xFA17 << 48
_PRIORITY: Final = 65535
_BRIDGE: Final = "br-phy"


class SplitNetwork(Fault[Partition]):
    """`partition […] […]`."""

    example = "at 20s: partition [n1] [n2, n3]"
    does = (
        "drops on every named node what comes from nodes of other groups over the underlay (flows on br-phy that the "
        "controller does not sweep); nodes that no group names go on with all; with a group [controller] the "
        "management network of the others is cut, over which the controller programs them"
    )
    presence = "every named node has its drop flows; with [controller] its management interface is down"
    effect = "no ping between groups is answered; inside a group it is"
    recovery = "deletes the flows; pings between groups are answered"

    def check(self, case: Case[Partition]) -> None:
        for name in itertools.chain(*case.action.groups):
            if name != CONTROL:
                case.site.node(name)
        if len(_groups(case.site, case.action)) < 2 and not _cut_off(case.site, case.action):
            raise UsageError("a partition has two groups of nodes at least, such as [n1] [n2, n3]")

    def inject(self, case: Case[Partition]) -> Memory:
        script = [
            _ofctl("add-flows", case.site.management(node.name, _BRIDGE), flows)
            for node, flows in _rules(case.site, case.action)
        ]
        script += [f"ip link set mgmt-{node.index} down" for node in _cut_off(case.site, case.action)]
        _run(case.site, script)
        return {}

    def present(self, case: Case[Partition]) -> Check:
        found = wanted = 0
        for node, flows in _rules(case.site, case.action):
            wanted += len(flows)
            there = [
                line for line in case.site.flows(node.name, _BRIDGE) if f"cookie=0x{_cookie(case.action):x}," in line
            ]
            found += sum("actions=drop" in line for line in there)
        seen = [f"{found} of {wanted} drop flows"] if wanted else []
        down = [node for node in _cut_off(case.site, case.action) if _is_down(case.site, node)]
        if cut := _cut_off(case.site, case.action):
            seen.append(f"{len(down)} of {len(cut)} management interfaces are down")
        return Check(found == wanted and len(down) == len(cut), ", ".join(seen))

    def symptom(self, case: Case[Partition]) -> Check:
        between, inside, control = _pings(case.site, case.action)
        answered = [
            f"{one} → {other}"
            for one, other in between
            if case.site.reaches(one, case.site.node(other).underlay.ip, 0.3)
        ]
        answered += [
            f"{one} → controller" for one in control if case.site.reaches(one, case.site.facts.management_address, 0.3)
        ]
        silent = [
            f"{one} → {other}" for one, other in inside if not case.site.reaches(one, case.site.node(other).underlay.ip)
        ]
        told = [f"{words} is answered" for words in answered] + [f"{words} is not answered" for words in silent]
        return Check(not told, ", ".join(told) or f"{len(between) + len(control)} pings between groups lost")

    def heal(self, case: Case[Partition]) -> None:
        match = [f"cookie=0x{_cookie(case.action):x}/-1"]
        script = [
            _ofctl("del-flows", case.site.management(node.name, _BRIDGE), match)
            for node, _ in _rules(case.site, case.action)
        ]
        # A switch that is down has no flows left to delete.
        _run(case.site, [f"{{ {line} || true; }} 2>/dev/null" for line in script])
        _run(case.site, [f"ip link set mgmt-{node.index} up" for node in _cut_off(case.site, case.action)])

    def healed(self, case: Case[Partition]) -> Check:
        between, _, control = _pings(case.site, case.action)
        silent = [
            f"{one} → {other}"
            for one, other in between
            if not case.site.reaches(one, case.site.node(other).underlay.ip)
        ]
        silent += [
            f"{one} → controller" for one in control if not case.site.reaches(one, case.site.facts.management_address)
        ]
        if silent or not control:
            told = f"no answer {', '.join(silent)}" if silent else f"{len(between)} pings between groups answered"
            return Check(not silent, told)
        return case.site.realised(1.0)


def _groups(site: Site, action: Partition) -> list[list[NodeFacts]]:
    return [[site.node(name) for name in group] for group in action.groups if CONTROL not in group]


def _cut_off(site: Site, action: Partition) -> list[NodeFacts]:
    """The nodes that the controller cannot reach."""
    controlled = any(CONTROL in group for group in action.groups)
    return [node for group in _groups(site, action) for node in group] if controlled else []


def _cookie(action: Partition) -> int:
    return _COOKIE | zlib.crc32(str(action).encode())


def _rules(site: Site, action: Partition) -> Iterator[tuple[NodeFacts, list[str]]]:
    """Each node's drop flows, in ovs-ofctl(8)'s words."""
    groups = _groups(site, action)
    for number, group in enumerate(groups):
        others = [node for other in groups[:number] + groups[number + 1 :] for node in other]
        sources = [str(source) for node in others for source in (node.underlay.ip, node.pod_cidr)]
        head = f"cookie=0x{_cookie(action):x},table=0,priority={_PRIORITY},in_port={UNDERLAY_PORT},ip"
        for node in group:
            if sources:
                yield node, [f"{head},nw_src={source},actions=drop" for source in sources]


def _pings(site: Site, action: Partition) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[str]]:
    """Pairs between groups (the first of each, both ways), pairs inside a group, nodes cut from the controller."""
    groups = _groups(site, action)
    between = [(one[0].name, other[0].name) for one, other in itertools.permutations(groups, 2)]
    inside = [(group[0].name, group[1].name) for group in groups if len(group) > 1]
    return between, inside, [node.name for node in _cut_off(site, action)]


def _is_down(site: Site, node: NodeFacts) -> bool:
    words = site.cluster.run(["ip", "-br", "link", "show", f"mgmt-{node.index}"]).text.split()
    return "UP" not in words[-1].strip("<>").split(",")


def _ofctl(command: str, target: str, lines: list[str]) -> str:
    if command == "add-flows":
        return f"printf '%s\\n' {shlex.join(lines)} | ovs-ofctl -O OpenFlow15 add-flows {target} -"
    return f"ovs-ofctl -O OpenFlow15 {command} {target} {shlex.join(lines)}"


def _run(site: Site, script: list[str]) -> None:
    """All side by side, so that all nodes are cut at the same time; KubinetError when one fails."""
    if script:
        side_by_side = "".join(f'{{ {line}; }} & pids="$pids $!"\n' for line in script)
        site.cluster.run(["sh", "-c", f"{side_by_side}for pid in $pids; do wait $pid || exit 1; done"])
