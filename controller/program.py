"""What a bridge is to hold, in parts: a difference costs what changed, not what is there. Pure."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar

from controller.features.common import BridgeFlow
from controller.openflow.flow import Flow, FlowKey, Group
from controller.pipeline import PipelineError
from kubinet.addressing import INTEGRATION_BRIDGE

PartKey: TypeAlias = Hashable
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Flows and groups that come and go together; compared by identity."""

    flows: tuple[Flow, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Parts by key. A layer may be shared by many bridges; an unchanged one is the very same object."""

    parts: Mapping[PartKey, Part]
    flows: int = field(init=False)
    """Number of flows."""
    groups: int = field(init=False)
    """Number of groups."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "flows", sum(len(part.flows) for part in self.parts.values()))
        object.__setattr__(self, "groups", sum(len(part.groups) for part in self.parts.values()))


EMPTY: Final = Layer({})


def parts_by_bridge(flows: Iterable[BridgeFlow], groups: Iterable[Group] = ()) -> Mapping[str, Part]:
    """Flows as parts of the bridges that they are for; groups are br-int's."""
    found: dict[str, list[Flow]] = {}
    for one in flows:
        found.setdefault(one.bridge, []).append(one.flow)
    owned = tuple(groups)
    if owned:
        found.setdefault(INTEGRATION_BRIDGE, [])
    return {bridge: Part(tuple(ones), owned if bridge == INTEGRATION_BRIDGE else ()) for bridge, ones in found.items()}


def part_of(flows: Iterable[BridgeFlow]) -> Part:
    """Flows of one bridge as a part."""
    return next(iter(parts_by_bridge(flows).values()))


def same(before: Mapping[_Key, object], after: Mapping[_Key, object]) -> bool:
    """Whether both have the very same objects."""
    return len(before) == len(after) and all(before.get(key) is part for key, part in after.items())


def kept(before: Mapping[str, Layer], parts: Mapping[str, Mapping[PartKey, Part]]) -> Mapping[str, Layer]:
    """Layers of the parts by bridge; those that did not change are the objects that they were."""
    return {
        bridge: before[bridge] if bridge in before and same(before[bridge].parts, own) else Layer(own)
        for bridge, own in parts.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """All that one bridge is to hold. Two programs of a bridge have the same number of layers."""

    layers: tuple[Layer, ...] = ()

    @property
    def flow_count(self) -> int:
        """Number of flows."""
        return sum(layer.flows for layer in self.layers)

    @property
    def group_count(self) -> int:
        """Number of groups."""
        return sum(layer.groups for layer in self.layers)

    def flows(self) -> Iterator[Flow]:
        """Every flow."""
        for layer in self.layers:
            for part in layer.parts.values():
                yield from part.flows

    def groups(self) -> Iterator[Group]:
        """Every group."""
        for layer in self.layers:
            for part in layer.parts.values():
                yield from part.groups

    def table(self) -> dict[FlowKey, Flow]:
        """Flows by what identifies them; PipelineError when two objects want the same one."""
        found: dict[FlowKey, Flow] = {}
        for flow in self.flows():
            known = found.setdefault(flow.key, flow)
            if known != flow:
                text = flow.to_text().partition(" actions=")[0]
                raise PipelineError(f"{known.owner} and {flow.owner} both want the flow '{text}'")
        return found


@dataclass(frozen=True, slots=True)
class Changes:
    """What turns one program into another, in the order in which a bundle carries it."""

    put_groups: tuple[Group, ...] = ()
    """New groups, and those that replace the one of their id."""
    add: tuple[Flow, ...] = ()
    """New flows, and flows that replace one of equal table, priority and match."""
    delete: tuple[Flow, ...] = ()
    delete_groups: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.put_groups or self.add or self.delete or self.delete_groups)


def differences(old: Program, new: Program) -> Changes:
    """The changes; work and result are proportional to the parts that differ."""
    gone: list[Part] = []
    come: list[Part] = []
    for index in range(max(len(old.layers), len(new.layers))):
        before = old.layers[index] if index < len(old.layers) else Layer({})
        after = new.layers[index] if index < len(new.layers) else Layer({})
        if before is not after:
            left, arrived = exchanged(before, after)
            gone += left
            come += arrived
    return _between(gone, come)


@lru_cache(maxsize=4)
def exchanged(before: Layer, after: Layer) -> tuple[list[Part], list[Part]]:
    """Parts that go and parts that come; asked once for the layers that all nodes share."""
    gone = [part for key, part in before.parts.items() if after.parts.get(key) is not part]
    come = [part for key, part in after.parts.items() if before.parts.get(key) is not part]
    return gone, come


def _between(gone: Iterable[Part], come: Iterable[Part]) -> Changes:
    old_flows = {flow.key: flow for part in gone for flow in part.flows}
    old_groups = {group.id: group for part in gone for group in part.groups}
    new_flows: dict[FlowKey, Flow] = {}
    new_groups: dict[int, Group] = {}
    for part in come:
        new_flows.update((flow.key, flow) for flow in part.flows)
        new_groups.update((group.id, group) for group in part.groups)
    return Changes(
        put_groups=tuple(group for key, group in new_groups.items() if old_groups.get(key) != group),
        add=tuple(flow for key, flow in new_flows.items() if old_flows.get(key) != flow),
        delete=tuple(flow for key, flow in old_flows.items() if key not in new_flows),
        delete_groups=tuple(key for key in old_groups if key not in new_groups),
    )


def apply(
    table: Mapping[FlowKey, Flow], groups: Mapping[int, Group], changes: Changes
) -> tuple[dict[FlowKey, Flow], dict[int, Group]]:
    """What a bridge holds after the changes: flows by key and groups by id."""
    flows_after, groups_after = dict(table), dict(groups)
    groups_after.update((group.id, group) for group in changes.put_groups)
    flows_after.update((flow.key, flow) for flow in changes.add)
    for flow in changes.delete:
        flows_after.pop(flow.key, None)
    for key in changes.delete_groups:
        groups_after.pop(key, None)
    return flows_after, groups_after
