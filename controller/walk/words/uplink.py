"""Tables of br-phy: between the underlay, the node's own stack and br-int. Pure."""

from controller.pipeline import Priority
from controller.walk.words.moment import Moment
from controller.walk.words.names import socket
from kubinet.addressing import UNDERLAY_PORT


def uplink(moment: Moment) -> str:
    """Table Uplink."""
    packet, step = moment.packet, moment.step
    if moment.drops:
        return f"{packet.destination} is of the pod network, which is reached through br-int only"
    if step.category == "services" and _from_underlay(moment):
        owner = moment.owner_words
        return f"{socket(packet)} is served by {owner}: on to br-int" if owner else ""
    if step.category == "pods":
        return f"{socket(packet)} is a host port: on to br-int"
    if step.category == "external":
        return _translated(moment)
    if step.category == "services":
        return "an answer to a client outside"
    if step.priority == Priority.FIRST:
        return "a tunnel's packet, for the node's own address"
    return _between(moment)


def uplink_output(moment: Moment) -> str:
    """Table UplinkOutput."""
    return _between(moment)


def uplink_service(_moment: Moment) -> str:
    """Table UplinkService."""
    return "to br-int, untouched; which neighbour it came from is remembered"


def uplink_return(moment: Moment) -> str:
    """Table UplinkReturn."""
    if moment.step.priority == Priority.MISS:
        return "no client outside has asked for this"
    return "out to the underlay, to the neighbour that the request came from"


def _translated(moment: Moment) -> str:
    meeting = moment.meeting
    if meeting is None:
        return ""
    before, after = meeting.before, meeting.after
    if before.source != after.source:
        return f"leaves the cluster: the source becomes the node's address, {socket(after, source=True)}"
    if before.destination != after.destination:
        return f"an answer for {moment.names.address(after.destination)}"
    return ""


def _between(moment: Moment) -> str:
    if moment.does("LOCAL"):
        return f"to the own stack of node {moment.node.name}"
    if moment.does(f"output:{UNDERLAY_PORT}"):
        return "out to the underlay"
    return "to br-int" if moment.does("output:") else ""


def _from_underlay(moment: Moment) -> bool:
    return (moment.hop.bridge, moment.hop.port) == (moment.step.bridge, UNDERLAY_PORT)
