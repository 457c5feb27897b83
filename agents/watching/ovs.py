"""Each node's ovs-vswitchd, asked over its control socket: lookups, flows, rules, OpenFlow messages."""

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from agents.ovsrpc import Appctl
from kubinet.errors import KubinetError

NODES: Final = Path("/run/kubinet/nodes")
_LOOKUPS: Final = re.compile(r"^\s+lookups: hit:(\d+) missed:(\d+) lost:(\d+)$", re.MULTILINE)
_FLOWS: Final = re.compile(r"^\s+flows: (\d+)$", re.MULTILINE)
_RULES: Final = re.compile(r"\brules:(\d+)")
_COVERAGE: Final = re.compile(r"^(\w+)\s.*total: (\d+)$", re.MULTILINE)
_MESSAGES: Final = {"vconn_sent": "OpenFlow messages sent", "vconn_received": "OpenFlow messages received"}


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
