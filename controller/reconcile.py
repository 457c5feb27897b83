"""From what a bridge holds to what it should hold: the changes, in an order that never opens a gap. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.openflow.flow import Flow
from controller.openflow.messages import Change, Command

Key = tuple[int, int, object]


class ConflictError(ValueError):
    """Two flows of one bridge with the same table, priority and match, but different actions or owners."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes, and the flows that the bridge holds once they are done."""

    changes: tuple[Change, ...]
    result: Mapping[Key, Flow]


def index(flows: Iterable[Flow]) -> dict[Key, Flow]:
    """Flows by table, priority and match; ConflictError where two differ."""
    found: dict[Key, Flow] = {}
    for flow in flows:
        other = found.setdefault(flow.key, flow)
        if other != flow:
            raise ConflictError(f"{other.owner} and {flow.owner} want different flows: {other.text()} | {flow.text()}")
    return found


def reconcile(actual: Mapping[Key, Flow], desired: Mapping[Key, Flow]) -> Plan:
    """What to add (replacing what differs) first, then what to delete: all of it is one atomic bundle."""
    added = (Change(Command.ADD, flow) for key, flow in desired.items() if actual.get(key) != flow)
    deleted = (Change(Command.DELETE_STRICT, flow) for key, flow in actual.items() if key not in desired)
    return Plan((*added, *deleted), desired)
