"""Denied packets by policy: the counters of the flows that lead to PolicyDeny. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.flow_view import Row
from controller.pipeline import L3_FORWARD, POLICY_DENY
from controller.policy.meanings import Meaning
from kubinet.policies import Direction

_NUMBER: Final = re.compile(r"(?:set_field|load):(0x[0-9a-f]+)->(?:reg|NXM_NX_REG)[56]")
_DENIES: Final = re.compile(rf"\bgoto_table:{POLICY_DENY.number}$")


@dataclass(frozen=True, slots=True)
class Denied:
    """What one rule, or the isolation by one set of policies, has denied."""

    policies: tuple[str, ...]
    direction: Direction
    rule: str
    """`rule 2`, or `isolation`."""
    packets: int
    bytes: int
    nodes: tuple[str, ...]
    """Those that have such flows."""


def denied(rows: Mapping[str, Iterable[Row]], deciders: Mapping[int, Meaning]) -> list[Denied]:
    """Sums over all nodes, most packets first. `rows`: br-int's flows by node; `deciders`: see `Compiler`."""
    sums: dict[tuple[tuple[str, ...], Direction, str], tuple[int, int, set[str]]] = {}
    for node, flows in rows.items():
        for row in flows:
            if not _DENIES.search(row.actions):
                continue
            key = _decider(row, deciders)
            packets, size, nodes = sums.get(key, (0, 0, set()))
            sums[key] = (packets + row.packets, size + row.bytes, nodes | {node})
    found = [Denied(*key, packets, size, tuple(sorted(nodes))) for key, (packets, size, nodes) in sums.items()]
    return sorted(found, key=lambda one: (-one.packets, one.policies, one.direction, one.rule))


def _decider(row: Row, deciders: Mapping[int, Meaning]) -> tuple[tuple[str, ...], Direction, str]:
    number = _NUMBER.search(row.actions)
    meaning = deciders.get(int(number[1], 16)) if number is not None else None
    if meaning is not None:
        return meaning.policies, meaning.direction, meaning.rule
    # The flows are newer or older than the policies that were asked for: the cookie still names one.
    direction = Direction.EGRESS if row.number < L3_FORWARD.number else Direction.INGRESS
    return (row.owner or "unknown",), direction, "unknown"
