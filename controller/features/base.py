"""What every bridge has: explicit, counted table-miss drops and the canary."""

from collections.abc import Iterator

from controller.features.common import TOPOLOGY, BridgeFlow, Maker
from controller.openflow.actions import DecrementTtl, OutputRegister
from controller.openflow.fields import IP, IP_TTL
from controller.openflow.flow import Category
from controller.pipeline import CANARY, INGRESS_ENTRY, L3_DEC_TTL, OUTPUT, TABLES, UPLINK_CANARY, Priority, goto
from controller.registers import NEVER, OUTPUT_PORT, SOURCE, Place
from kubinet.state import ClusterState, Node


def flows(_state: ClusterState, _node: Node) -> Iterator[BridgeFlow]:
    """Misses of all tables, the canaries, and the tables that are the same for every packet."""
    make = Maker(TOPOLOGY, Category.BASE)
    for table in TABLES:
        if table in (CANARY, UPLINK_CANARY):
            yield make(table, Priority.NORMAL, (NEVER(0xFFFFFFFF),))
        else:
            yield make(table, Priority.MISS, ())
    yield make(L3_DEC_TTL, Priority.SPECIAL, (IP, SOURCE(Place.GATEWAY)), goto(INGRESS_ENTRY))
    yield make(L3_DEC_TTL, Priority.POD, (IP,), DecrementTtl(), goto(INGRESS_ENTRY))
    for ttl in (0, 1):
        # Without this flow a TTL that runs out would go unseen: dec_ttl ends the packet without a counter.
        yield make(L3_DEC_TTL, Priority.NORMAL, (IP, IP_TTL(ttl)))
    yield make(OUTPUT, Priority.NORMAL, (IP,), OutputRegister(OUTPUT_PORT))
