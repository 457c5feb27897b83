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
_KERNEL: Final = "system@"
"""Begins the name of a datapath in the kernel."""
_DROPS: Final = ("datapath_drop_upcall_error", "datapath_drop_lock_error")
"""Coverage counters of the userspace datapath (lib/dpif-netdev.c): packets dropped because their upcall failed.

Not `datapath_drop_userspace_action_error`: that one counts every packet that a cached flow hands to the controller."""
_MESSAGES: Final = {"vconn_sent": "OpenFlow messages sent", "vconn_received": "OpenFlow messages received"}


def lost_on_slow_path(shown: str, coverage: str) -> int:
    """Packets that were dropped on the slow path, from `dpctl/show` and `coverage/show`.

    `lost` of `dpctl/show` means dropped only with the kernel's datapath. The userspace one also counts so what it has
    sent on without keeping a flow: a packet that the controller gave back, once for each recirculation. What that one
    drops is in `coverage/show`, which names the counters that are not zero.
    """
    drops = sum(int(total) for name, total in _COVERAGE.findall(coverage) if name in _DROPS)
    kernel = False
    for line in shown.splitlines():
        if not line.startswith(" "):
            kernel = line.startswith(_KERNEL)
        elif kernel and (found := _LOOKUPS.match(line)):
            drops += int(found[3])
    return drops


def parse_datapath(text: str, coverage: str) -> dict[str, int]:
    """Read `ovs-appctl dpctl/show` and `coverage/show`; KubinetError when the first shows no datapath.

    Each missed lookup is one upcall.
    """
    lookups, flows = _LOOKUPS.search(text), _FLOWS.search(text)
    if lookups is None or flows is None:
        raise KubinetError(f"ovs-appctl dpctl/show: no line 'lookups:' or 'flows:'; it said: {text.strip()[:200]!r}")
    return {
        "datapath flows": int(flows[1]),
        "hits": int(lookups[1]),
        "misses": int(lookups[2]),
        "upcalls lost": lost_on_slow_path(text, coverage),
    }


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
        coverage = appctl("coverage/show")
        shown = parse_datapath(appctl("dpctl/show"), coverage)
        return shown | parse_rules(appctl("memory/show")) | parse_messages(coverage)

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
