"""Entries of each node's connection tracking: Open vSwitch's and the node's kernel's."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from agents.ovsrpc import Appctl
from agents.watching.ovs import asking
from kubinet.errors import KubinetError
from kubinet.facts import facts_from_json

_LINE: Final = re.compile(r"^\s+(\w+): (\d+)$", re.MULTILINE)
TOTAL: Final = "Total"
KERNEL: Final = "kernel"


def parse_ct_stats(text: str) -> dict[str, int]:
    """Read `ovs-appctl dpctl/ct-stats-show`: entries in all (`Total`) and by protocol; KubinetError without a total."""
    found = {name: int(count) for name, count in _LINE.findall(text)}
    if TOTAL not in found:
        raise KubinetError(f"ovs-appctl dpctl/ct-stats-show: no line 'Total:'; it said: {text.strip()[:200]!r}")
    return found


def parse_kernel_entries(text: str) -> int:
    """Read /proc/net/stat/nf_conntrack: its first column is the number of entries, the same on every line, in hex."""
    lines = text.splitlines()
    return int(lines[1].split()[0], 16) if len(lines) > 1 else 0


def looker(_settings: Mapping[str, Any]) -> Callable[[], dict[str, dict[str, int]]]:
    """Asks every node's ovs-vswitchd, and reads every node's kernel's count."""
    pids = {node.name: node.pid for node in facts_from_json(Path("/run/kubinet/facts.json").read_text()).nodes}

    def ask(appctl: Appctl) -> dict[str, int]:
        return parse_ct_stats(appctl("dpctl/ct-stats-show"))

    ovs = asking(ask)

    def look() -> dict[str, dict[str, int]]:
        found = ovs()
        return {node: found.get(node, {}) | dict(_kernel(pid)) for node, pid in pids.items()}

    return look


def _kernel(pid: int) -> Iterator[tuple[str, int]]:
    """Nothing where the kernel tracks no connections, or the node has crashed."""
    try:
        yield KERNEL, parse_kernel_entries(Path(f"/proc/{pid}/net/stat/nf_conntrack").read_text())
    except OSError:
        return
