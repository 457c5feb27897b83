"""One step of a walk with everything that its words need. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from controller.openflow.fields import Bits
from controller.pipeline import SOURCE, Place, Priority
from controller.walk.hops import Meeting, Pass, SwitchHop
from controller.walk.packet import Packet
from controller.walk.parse import Step
from controller.walk.words.names import Names
from kubinet.state import Node

_LOAD: Final = re.compile(r"^set_field:(0x[0-9a-f]+)(?:/(0x[0-9a-f]+))?->reg(\d+)$")


@dataclass(frozen=True, slots=True)
class Moment:
    """A step where it happened."""

    names: Names
    meanings: Mapping[int, str]
    """What numbers of policies' rules mean: `controller.policy`."""
    hop: SwitchHop
    part: Pass
    at: int
    """Index of the step in its pass."""
    following: Pass | None = None
    """The pass that begins with this step's connection tracking, for the last step of a pass."""

    @property
    def step(self) -> Step:
        """The step itself."""
        return self.part.steps[self.at]

    @property
    def owner(self) -> str:
        """The object that the step's flow exists for, `Kind/namespace/name`; empty for one that is not Kubinet's."""
        return self.step.owner(self.names.owners)

    @property
    def owner_words(self) -> str:
        """The same as in a sentence: `node n2`, `Service shop/web`; empty for flows that every node has."""
        kind, _, name = self.owner.partition("/")
        if kind in ("", "Topology"):
            return ""
        return f"{kind.lower() if kind in ('Node', 'Pod') else kind} {name}"

    @property
    def node(self) -> Node:
        """The node that it happened on."""
        return self.names.state.nodes[self.hop.node]

    @property
    def packet(self) -> Packet:
        """The packet at the beginning of the pass; flows change only MAC addresses and the TTL after that."""
        return self.part.seen.packet

    @property
    def meeting(self) -> Meeting | None:
        """What the step's connection tracking has found or made."""
        return self.following.meeting if self.following is not None else None

    @property
    def replies(self) -> bool:
        """Whether the packet belongs to the answers of its connection."""
        tracked = self.part.seen.tracked
        return tracked is not None and "rpl" in tracked.states

    @property
    def source(self) -> int:
        """The place that the packet came from (a `Place`); 0 before the classifier has told."""
        known = self.loaded(SOURCE, everywhere=True)
        return known if known is not None else self.part.seen.read(SOURCE)

    def is_at(self, *priorities: Priority) -> bool:
        """Whether the step's flow has one of these priorities."""
        return self.step.priority in priorities

    def loaded(self, bits: Bits, *, everywhere: bool = False) -> int | None:
        """What the step has loaded into a slice of a register; `everywhere`: or an earlier step of the pass."""
        steps = self.part.steps[: self.at + 1] if everywhere else (self.step,)
        found = [value for step in steps for value in _loads(step, bits)]
        return found[-1] if found else None

    def loaded_from_here(self, bits: Bits) -> int | None:
        """What this or the pass's later steps have loaded into a slice of a register."""
        found = [value for step in self.part.steps[self.at :] for value in _loads(step, bits)]
        return found[-1] if found else None

    def does(self, start: str) -> bool:
        """Whether one of the step's actions begins so."""
        return any(action.startswith(start) for action in self.step.actions)

    @property
    def drops(self) -> bool:
        """Whether the step is a packet's end."""
        return self.step.actions in ((), ("drop",)) and not self.step.missed


def _loads(step: Step, bits: Bits) -> Iterator[int]:
    for action in step.actions:
        found = _LOAD.match(action)
        if found is None or int(found[3]) != bits.field.number:
            continue
        value, mask = int(found[1], 16), int(found[2], 16) if found[2] else bits.field.all_ones
        if mask & bits.mask == bits.mask:
            yield (value & bits.mask) >> bits.first


def place_words(moment: Moment, place: int) -> str:
    """Where a packet is that came from, or goes to, a place."""
    match place:
        case Place.TUNNEL:
            return "the tunnel"
        case Place.GATEWAY:
            return f"the own stack of node {moment.node.name}"
        case Place.POD:
            return "a pod"
        case Place.UPLINK:
            return "another node, without encapsulation"
        case Place.OUTSIDE:
            return "the outside of the cluster"
    return "an unknown place"
