"""What a walk consists of: the packet's stays at bridges, in nodes' own stacks, on the underlay; and how it ends."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from controller.walk.datapath import Encapsulate, Track
from controller.walk.packet import Packet, Seen, Tracked
from controller.walk.parse import Step
from kubinet.state import Endpoint


@dataclass(frozen=True, slots=True)
class Meeting:
    """The packet met its connection: what was asked, what connection tracking said, and the packet behind it."""

    action: Track
    tracked: Tracked
    before: Packet
    after: Packet


@dataclass(frozen=True, slots=True)
class Pass:
    """One uninterrupted way through tables."""

    seen: Seen
    """The packet at its beginning."""
    steps: tuple[Step, ...]
    table: int | None = None
    """Where it resumed; None: as received."""
    meeting: Meeting | None = None
    """The connection tracking that it resumed from."""
    trouble: str = ""
    chosen: Endpoint | None = None
    """What the controller would have chosen, where it is asked."""


@dataclass(frozen=True, slots=True)
class Exit:
    """A port that the packet left through."""

    bridge: str
    port: int
    packet: Packet
    outer: Encapsulate | None = None
    """The tunnel's outer header, for the tunnel port."""
    trouble: str = ""
    """Why Open vSwitch could not send it there at this moment, in its words."""


@dataclass(frozen=True, slots=True)
class SwitchHop:
    """A node's bridges: in at a port, and out through one or dropped."""

    node: str
    bridge: str
    port: int
    packet: Packet
    passes: tuple[Pass, ...]
    exits: tuple[Exit, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All tables that the packet visited, in order."""
        return tuple(step for part in self.passes for step in part.steps)


class StackTurn(StrEnum):
    """What a node's own stack does with a packet."""

    SENDS = "sends"
    """A process of the node has sent it."""
    FORWARDS = "forwards"
    TAKES = "takes"
    """The address is the node's own."""
    REFUSES = "refuses"
    """Nothing listens there, on purpose."""
    DROPS = "drops"


@dataclass(frozen=True, slots=True)
class StackHop:
    """The node's kernel."""

    node: str
    packet: Packet
    turn: StackTurn
    device: str = ""
    """Where it goes on: `gw0`, `br-phy`, `mgmt`."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class UnderlayHop:
    """Between two nodes, or a node and the outside."""

    source: str
    """A node's or an outside host's name, or an address."""
    destination: str
    packet: Packet
    outer: Encapsulate | None = None
    """Around it, where it is in a tunnel."""


Hop: TypeAlias = SwitchHop | StackHop | UnderlayHop


class Ending(StrEnum):
    """How a packet's way ends."""

    DELIVERED = "delivered"
    DROPPED = "dropped"
    REFUSED = "refused"
    """Answered with a TCP reset or an ICMP port unreachable, because a Service has no endpoint."""


class Party(StrEnum):
    """What somebody who is sent a packet is."""

    POD = "pod"
    NODE = "node"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the way ended, and how."""

    ending: Ending
    party: Party | None = None
    """To whom it was delivered."""
    name: str = ""
    """Who: `namespace/name` of a pod, a node's name, an outside address."""
    node: str = ""
    """The node where it ended; empty outside."""
    step: Step | None = None
    """The flow that dropped it."""
    why: str = ""
    """Where no flow did."""

    @property
    def delivered(self) -> bool:
        """Whether it arrived."""
        return self.ending is Ending.DELIVERED


@dataclass(frozen=True, slots=True)
class Walk:
    """One packet's way."""

    packet: Packet
    """As it was sent."""
    hops: tuple[Hop, ...]
    outcome: Outcome

    @property
    def arrived(self) -> Packet:
        """As it was at the last place."""
        last = self.hops[-1] if self.hops else None
        if isinstance(last, SwitchHop):
            return last.exits[-1].packet if last.exits else last.passes[-1].seen.packet
        return last.packet if last is not None else self.packet


@dataclass(frozen=True, slots=True)
class Journey:
    """A request, and where it arrived the answer to it."""

    request: Walk
    reply: Walk | None = None

    @property
    def delivered(self) -> bool:
        """Whether both sides hear of each other."""
        return self.request.outcome.delivered and self.reply is not None and self.reply.outcome.delivered
