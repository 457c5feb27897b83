"""From what a bridge holds to what it should hold: the changes, in an order that never opens a gap. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from controller.openflow.flow import Flow, FlowKey


@dataclass(frozen=True, slots=True)
class Changes:
    """What turns one set of flows into another."""

    add: tuple[Flow, ...]
    """New flows, and flows that replace one of equal table, priority and match."""
    delete: tuple[Flow, ...]

    def __bool__(self) -> bool:
        return bool(self.add or self.delete)


def reconcile(actual: Mapping[FlowKey, Flow], desired: Mapping[FlowKey, Flow]) -> Changes:
    """What to add first and what to delete then; one atomic bundle carries it all."""
    return Changes(
        add=tuple(flow for key, flow in desired.items() if actual.get(key) != flow),
        delete=tuple(flow for key, flow in actual.items() if key not in desired),
    )


def apply(actual: Mapping[FlowKey, Flow], changes: Changes) -> dict[FlowKey, Flow]:
    """What a bridge holds after the changes."""
    gone = {flow.key for flow in changes.delete}
    kept = {key: flow for key, flow in actual.items() if key not in gone}
    return kept | {flow.key: flow for flow in changes.add}
