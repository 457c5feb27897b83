"""Measurement `ovs`: each node's Open vSwitch: datapath flows, hits, misses, losses, OpenFlow rules and messages."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final

from agents.ovsrpc import Appctl
from experiments.design.model import Settings
from experiments.measurements.common import EVERY, Growth, Watching, watching
from experiments.scene import Reading, Scene
from experiments.workloads.common import seconds
from kubinet.errors import KubinetError

NODES: Final = Path("/run/kubinet/nodes")
_LOOKUPS: Final = re.compile(r"^\s+lookups: hit:(\d+) missed:(\d+) lost:(\d+)$", re.MULTILINE)
_FLOWS: Final = re.compile(r"^\s+flows: (\d+)$", re.MULTILINE)
_RULES: Final = re.compile(r"\brules:(\d+)")
_COVERAGE: Final = re.compile(r"^(\w+)\s.*total: (\d+)$", re.MULTILINE)
_MESSAGES: Final = {"vconn_sent": "OpenFlow messages sent", "vconn_received": "OpenFlow messages received"}
_UNITS: Final = {
    "datapath flows": "flows",
    "hits": "lookups",
    "misses": "lookups",
    "upcalls lost": "packets",
    "OpenFlow rules": "rules",
    "OpenFlow messages sent": "messages",
    "OpenFlow messages received": "messages",
}
_LEVELS: Final = ("datapath flows", "OpenFlow rules")
"""Metrics that are as they are; the others grow, and are recorded as their growth since the look before."""


def parse_datapath(text: str) -> dict[str, int]:
    """Read `ovs-appctl dpctl/show`; KubinetError when it shows no datapath. Each missed lookup is one upcall."""
    lookups, flows = _LOOKUPS.search(text), _FLOWS.search(text)
    if lookups is None or flows is None:
        raise KubinetError(f"ovs-appctl dpctl/show: no line 'lookups:' or 'flows:'; it said: {text.strip()[:200]!r}")
    hits, misses, lost = map(int, lookups.groups())
    return {"datapath flows": int(flows[1]), "hits": hits, "misses": misses, "upcalls lost": lost}


def parse_rules(text: str) -> dict[str, int]:
    """Read `ovs-appctl memory/show`: OpenFlow rules of all bridges, 0 where it names none."""
    found = _RULES.search(text)
    return {"OpenFlow rules": int(found[1]) if found else 0}


def parse_messages(text: str) -> dict[str, int]:
    """Read `ovs-appctl coverage/show`: OpenFlow messages to and from the controller; it lists only what happened."""
    totals = dict(_COVERAGE.findall(text))
    return {metric: int(totals.get(name, 0)) for name, metric in _MESSAGES.items()}


class Ovs(Watching):
    """The measurement."""

    summary = "Each node's Open vSwitch: datapath flows, hits, misses (upcalls), losses, OpenFlow rules and messages."
    parameters = (EVERY,)
    metrics: Final = _UNITS

    def watch(self, scene: Scene, settings: Settings) -> AbstractContextManager[None]:
        """Counters are recorded as their growth since the look before."""
        return watching(scene, "ovs", {"every": seconds(settings, "every")}, interpreter())


def interpreter() -> Callable[[Mapping[str, Any]], Iterable[Reading]]:
    """Makes readings of looks."""
    growth = Growth()
    number = [0]

    def interpret(look: Mapping[str, Any]) -> Iterator[Reading]:
        at, sequence = float(look["time_s"]), number[0]
        number[0] += 1
        for node, values in look["found"].items():
            for metric, value in values.items():
                if metric in _LEVELS:
                    yield Reading(metric, value, _UNITS[metric], at, sequence, node)
                    continue
                grown = growth.of((node, metric), value)
                if sequence:
                    yield Reading(metric, grown, _UNITS[metric], at, sequence, node)

    return interpret


def looker(_settings: Mapping[str, Any]) -> Callable[[], dict[str, dict[str, int]]]:
    """Asks every node's ovs-vswitchd; one that does not answer (it was stopped) is left out of the look."""

    def ask(appctl: Appctl) -> dict[str, int]:
        shown = parse_datapath(appctl("dpctl/show"))
        return shown | parse_rules(appctl("memory/show")) | parse_messages(appctl("coverage/show"))

    return asking(ask)


def asking(ask: Callable[[Appctl], dict[str, int]]) -> Callable[[], dict[str, dict[str, int]]]:
    """A look that asks every node's ovs-vswitchd over a connection that is kept, and made again when it broke."""
    stack = ExitStack()
    open_ones: dict[str, Appctl] = {}

    def look() -> dict[str, dict[str, int]]:
        found = {}
        for node in sorted(entry.name for entry in NODES.iterdir()):
            try:
                if node not in open_ones:
                    (control,) = (NODES / node).glob("ovs-vswitchd.*.ctl")
                    open_ones[node] = stack.enter_context(Appctl(control, timeout=2.0))
                found[node] = ask(open_ones[node])
            except (KubinetError, OSError, ValueError):
                open_ones.pop(node, None)
        return found

    return look


OVS: Final = Ovs()
