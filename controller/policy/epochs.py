"""A register that is another one whenever a node's policy flows are: cached decisions of before are never met again.

Open vSwitch caches decisions as megaflows and brings them up to date when flows change. The userspace datapath looks
the one that is to change up by its packet, so of two megaflows that overlap (a policy asks for the peer's address,
its successor does not) the wrong one may be changed, and the other one goes on letting packets through. What is
cached behind connection tracking is told apart by the registers with which the packet came from there; so packets of
different flows never share it.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from controller.features.common import TOPOLOGY, Maker
from controller.openflow.actions import Ct, Nat, load
from controller.openflow.fields import IP
from controller.openflow.flow import Category
from controller.pipeline import CONNTRACK, CONNTRACK_STATE, Priority
from controller.program import EMPTY, Layer, Part, exchanged, parts_by_bridge
from controller.registers import EPOCH, Zone
from kubinet.addressing import INTEGRATION_BRIDGE

_MODULUS: Final = 1 << 32


@dataclass(slots=True, eq=False)
class Epochs:
    """One node's register, of one set of flows after another. The same flows have the same number."""

    _layers: tuple[Layer, ...] = ()
    _sum: int = 0
    _layer: Layer = EMPTY

    def layer(self, *layers: Layer) -> Layer:
        """The flow that loads it; the same layer as before when the layers are the same. No flows: no epoch."""
        before = self._layers or (EMPTY,) * len(layers)
        if self._layers and all(one is other for one, other in zip(layers, before, strict=True)):
            return self._layer
        for one, other in zip(before, layers, strict=True):
            gone, come = exchanged(one, other)
            self._sum += sum(map(_digest, come)) - sum(map(_digest, gone))
        self._layers = layers
        self._layer = _loading(self._sum % _MODULUS) if any(layer.parts for layer in layers) else EMPTY
        return self._layer


def _digest(part: Part) -> int:
    # Not a CRC: sums of these agree when two parts exchange what they say.
    text = "\n".join(flow.to_text() for flow in part.flows)
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big")


def _loading(epoch: int) -> Layer:
    make = Maker(TOPOLOGY, Category.CONNTRACK)
    track = Ct(Zone.MAIN, nat=Nat(), table=CONNTRACK_STATE.number)
    flow = make(CONNTRACK, Priority.SPECIAL, (IP,), load(EPOCH, epoch), track)
    return Layer({"epoch": parts_by_bridge([flow])[INTEGRATION_BRIDGE]})
