"""Flows and groups as values, with the text that `ovs-ofctl` reads."""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from controller.openflow.actions import Action
from controller.openflow.fields import Field, Match

GENERATIONS: Final = 0x8000
"""Generations are 1 to 0x7fff: the cookie's top bit stays free for flows that the switch learns on its own."""


class Category(IntEnum):
    """Which part of the pipeline made a flow; in the cookie."""

    BASE = 1
    PODS = 2
    GATEWAY = 3
    OVERLAY = 4
    EXTERNAL = 5
    UNDERLAY = 6
    CONNTRACK = 7
    SERVICES = 8
    POLICY = 9


@dataclass(frozen=True, slots=True)
class Owner:
    """The Kubernetes object that a flow exists for."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    @property
    def id(self) -> int:
        """32 bits of the name's hash: the same in every process, without a registry."""
        return _owner_id(str(self))


@lru_cache(maxsize=65536)
def _owner_id(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big")


class FlowKey(NamedTuple):
    """What identifies a flow on a switch."""

    table: int
    priority: int
    match: Match


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow: where, when, what, and whose."""

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...]
    owner: Owner
    category: Category

    @property
    def key(self) -> FlowKey:
        """What identifies the flow on its bridge."""
        return FlowKey(self.table, self.priority, self.match)

    def cookie(self, generation: int) -> int:
        """`generation:16 | category:8 | flags:8 | object:32`; no flags are in use."""
        return generation << 48 | self.category << 40 | self.owner.id

    def to_text(self) -> str:
        """The flow in `ovs-ofctl add-flow`'s syntax."""
        match = str(self.match)
        actions = ",".join(str(action) for action in self.actions) or "drop"
        return f"table={self.table},priority={self.priority}{',' if match else ''}{match} actions={actions}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One choice of a group; ids stay the same when other buckets come and go."""

    id: int
    actions: tuple[Action, ...]
    weight: int = 1


class GroupKind(IntEnum):
    """OFPGT_*: all buckets, or one by hash of the packet."""

    ALL = 0
    SELECT = 1


@dataclass(frozen=True, slots=True)
class Selection:
    """How a group of kind SELECT chooses (ovs-ofctl(8), Group Syntax).

    `dp_hash`: by the datapath's own hash of the 5-tuple, without an upcall per connection; at most 256 slots.
    `hash`: by the highest random weight of the bucket's id and `fields`: the same bucket on all nodes, and when one
    goes only its own share moves; an upcall for each new value of the fields.
    """

    method: str
    parameter: int = 0
    """dp_hash: `algorithm << 32 | basis`, algorithm 0 for the 5-tuple; hash: the basis."""
    fields: tuple[Field, ...] = ()

    def __str__(self) -> str:
        text = f"selection_method={self.method}"
        if self.parameter:
            text += f",selection_method_param={self.parameter}"
        return text + (f",fields({','.join(field.name for field in self.fields)})" if self.fields else "")


@dataclass(frozen=True, slots=True)
class Group:
    """A group of buckets."""

    id: int
    kind: GroupKind
    buckets: tuple[Bucket, ...]
    owner: Owner
    selection: Selection | None = None

    def to_text(self) -> str:
        """The group in `ovs-ofctl add-group`'s syntax."""
        buckets = [
            f"bucket=bucket_id:{bucket.id},"
            + (f"weight:{bucket.weight}," if self.kind is GroupKind.SELECT else "")
            + f"actions={','.join(str(action) for action in bucket.actions) or 'drop'}"
            for bucket in self.buckets
        ]
        head = f"group_id={self.id},type={self.kind.name.lower()}"
        return ",".join([head, *([str(self.selection)] if self.selection else []), *buckets])


@dataclass(frozen=True, slots=True)
class Meter:
    """A limit on packets: what comes faster is held back."""

    id: int
    rate: int
    """Packets per second."""
    burst: int
    """Packets that may come at once."""
