"""Round-robin: the controller chooses the endpoint of each new connection, in turn over all nodes.

The switch keeps nothing that could count, so every first packet of such a Service comes here and is sent again with
the choice in its registers; the connection's other packets do not. While no controller runs, new connections of these
Services wait (TCP sends its first packet again); established ones go on.
"""

import threading
from collections.abc import Container
from itertools import count

from controller.features.balancing import Backends
from controller.openflow.actions import Resubmit, SetField
from controller.openflow.decode import PacketIn
from controller.openflow.encode import packet_out
from controller.openflow.fields import CONTROLLER, REG0, REG3, REG4, REG7
from controller.pipeline import CONNTRACK
from controller.registers import CHOSEN, ENDPOINT_PORT
from kubinet.addressing import UPLINK_PATCH_PORT
from kubinet.state import Endpoint


def backends_number(packet: PacketIn) -> int:
    """The set of endpoints that the packet asks about."""
    return packet.registers.get(REG7.number, 0)


class Turns:
    """Whose turn it is, by set of endpoints; for several threads.

    Nodes that choose from the same endpoints take turns together, those with a choice of their own each by itself:
    else a node that sees every second connection of two nodes would always give the same endpoint.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[int, str], count[int]] = {}

    def next(self, backends: Backends) -> Endpoint:
        """The endpoint whose turn it is."""
        with self._lock:
            turn = next(self._counters.setdefault((backends.id, backends.node), count()))
        return backends.endpoints[turn % len(backends.endpoints)]

    def keep(self, numbers: Container[int]) -> None:
        """Forget the turns of all other sets, whose Services are gone."""
        with self._lock:
            self._counters = {key: turn for key, turn in self._counters.items() if key[0] in numbers}


def answer(packet: PacketIn, endpoint: Endpoint, xid: int) -> bytes:
    """The packet again, as it came, with the chosen endpoint."""
    chosen = CHOSEN(1).value | ENDPOINT_PORT(endpoint.port).value
    actions = (
        SetField(REG0(packet.registers.get(REG0.number, 0))),
        SetField(REG3(int(endpoint.address))),
        SetField(REG4(chosen)),
        SetField(REG7(backends_number(packet))),
        Resubmit(CONNTRACK.number),
    )
    # Connection tracking resumes a packet by the port that it came from, which a patch port is not to the datapath.
    port = CONTROLLER if packet.in_port == UPLINK_PATCH_PORT else packet.in_port
    return packet_out(packet.data, port, actions, xid)
