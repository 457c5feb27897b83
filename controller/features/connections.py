"""Connection tracking on br-int: every packet meets its connection, new ones are remembered, invalid ones end here."""

from collections.abc import Iterator

from controller.features.common import TOPOLOGY, BridgeFlow, Maker, node_owner
from controller.openflow.actions import BOUNCE, CopyField, Ct, Nat, load
from controller.openflow.fields import IN_PORT, IP, TCP, TCP_RESET, ct_state
from controller.openflow.flow import Category
from controller.pipeline import (
    CLASSIFIER,
    CONNTRACK,
    CONNTRACK_COMMIT,
    CONNTRACK_STATE,
    EGRESS_ENTRY,
    ENDPOINT_DNAT,
    L3_DEC_TTL,
    L3_FORWARD,
    OUTPUT,
    SERVICE_LB,
    SNAT,
    UNSNAT,
    Priority,
    goto,
)
from controller.registers import (
    CHOSEN,
    CT_HAIRPIN,
    CT_SERVICE,
    CT_SOURCE,
    DESTINATION,
    OUTPUT_PORT,
    SOURCE,
    Place,
    Zone,
)
from kubinet.addressing import UPLINK_PATCH_PORT
from kubinet.state import ClusterState, Node


def flows(_state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """What is the same for every packet."""
    make = Maker(TOPOLOGY, Category.CONNTRACK)
    yield make(UNSNAT, Priority.POD, (IP,), goto(CONNTRACK))
    yield make(CONNTRACK, Priority.NORMAL, (IP,), Ct(Zone.MAIN, nat=Nat(), table=CONNTRACK_STATE.number))
    forward = goto(EGRESS_ENTRY)
    # A reset that the window check takes for invalid still ends the endpoint's TIME_WAIT when a client uses a source
    # port again; without it that connection would stall.
    reset = (IP, TCP, TCP_RESET, CT_SERVICE(1), ct_state("+inv+trk"))
    yield make(CONNTRACK_STATE, Priority.OVERRIDE, reset, forward)
    yield make(CONNTRACK_STATE, Priority.SPECIAL, (IP, ct_state("+inv+trk")))
    yield make(
        CONNTRACK_STATE, Priority.NORMAL, (IP, CHOSEN(1), CT_SERVICE(0), ct_state("+new+trk")), goto(ENDPOINT_DNAT)
    )
    # Also +new: a first packet that is sent again belongs to the connection that the first one committed.
    yield make(CONNTRACK_STATE, Priority.NORMAL, (IP, CT_SERVICE(1)), forward)
    yield make(CONNTRACK_STATE, Priority.POD, (IP, ct_state("-new+trk")), forward)
    yield make(CONNTRACK_STATE, Priority.FALLBACK, (IP,), goto(SERVICE_LB))
    yield make(SERVICE_LB, Priority.PASS, (IP,), forward)
    # Only Services admit the outside; pods themselves are not reached from there.
    yield make(SERVICE_LB, Priority.GUARD, (IP, SOURCE(Place.OUTSIDE)))
    yield make(SNAT, Priority.POD, (IP,), goto(CONNTRACK_COMMIT))
    remember = Ct(Zone.MAIN, commit=True, table=OUTPUT.number, marks=(CopyField(SOURCE, CT_SOURCE),))
    yield make(CONNTRACK_COMMIT, Priority.NORMAL, (IP, CT_SERVICE(0), ct_state("+new+trk")), remember)
    yield make(CONNTRACK_COMMIT, Priority.POD, (IP,), goto(OUTPUT))
    # A switch sends nothing back to the port that it came from unless it is told so.
    yield make(OUTPUT, Priority.SPECIAL, (IP, CT_HAIRPIN(1)), BOUNCE)
    yield make(OUTPUT, Priority.SPECIAL, (IP, SOURCE(Place.GATEWAY), DESTINATION(Place.GATEWAY)), BOUNCE)
    outside = Maker(node_owner(node), Category.SERVICES)
    # br-phy knows which neighbour to send it to.
    yield outside(
        L3_FORWARD,
        Priority.OVERRIDE,
        (IP, CT_SOURCE(Place.OUTSIDE), ct_state("+rpl+trk")),
        load(DESTINATION, Place.OUTSIDE),
        load(OUTPUT_PORT, UPLINK_PATCH_PORT),
        goto(L3_DEC_TTL),
    )
    from_outside = (IN_PORT(UPLINK_PATCH_PORT), IP)
    yield outside(CLASSIFIER, Priority.POD, from_outside, load(SOURCE, Place.OUTSIDE), goto(UNSNAT))
