"""Tables 22 to 30: Services, host ports, and the endpoint that they choose. Pure."""

from ipaddress import IPv4Address
from typing import Final

from controller.pipeline import Priority
from controller.registers import ENDPOINT_ADDRESS, ENDPOINT_PORT, MASQUERADE, Place
from controller.walk.words.moment import Moment
from controller.walk.words.names import Names, Served, socket
from kubinet.addressing import REJECT_ADDRESS
from kubinet.services import Choice
from kubinet.state import Algorithm, Endpoint

_BY: Final = {
    Algorithm.RANDOM: "at random",
    Algorithm.HASH: "by a hash of the client's address and port",
    Algorithm.SOURCE_HASH: "by a hash of the client's address",
    Algorithm.ROUND_ROBIN: "in turn, which the controller is asked for",
    Algorithm.WEIGHTED: "at random by weight",
    Algorithm.MAGLEV: "by Maglev's table, from a hash of the connection",
    Algorithm.LEAST_CONNECTIONS: "at random, rather with few open connections",
}


def service_lb(moment: Moment) -> str:
    """Table ServiceLB."""
    packet = moment.packet
    if moment.is_at(Priority.PASS):
        return ""
    if moment.step.category == "pods":
        return f"port {packet.destination_port} of the node is a host port of {_endpoint(moment)}"
    served = _served(moment)
    if served is None:
        if _chosen(moment) == REJECT_ADDRESS:
            return f"no Service has {packet.destination} with port {packet.destination_port}: the connection is refused"
        return ""
    return f"{_front(served)}: {_choice(moment, served)}"


def affinity(moment: Moment) -> str:
    """Table SessionAffinity, from which the packet returns to ServiceLB."""
    if moment.step.priority == Priority.MISS:
        return f"{moment.packet.source} has not been remembered"
    return f"{moment.packet.source} is remembered: it had {_endpoint(moment)} last"


def endpoint_choice(moment: Moment) -> str:
    """Table EndpointChoice."""
    if moment.does("group:") or moment.does("multipath("):
        return "chooses anew"
    return "the remembered endpoint still belongs to the Service, and stays"


def endpoint_slot(moment: Moment) -> str:
    """Table EndpointSlot."""
    return f"the hash's slot is {_endpoint(moment)}"


def affinity_learn(_moment: Moment) -> str:
    """Table AffinityLearn."""
    return "the client will be remembered with this endpoint"


def endpoint_dnat(moment: Moment) -> str:
    """Table EndpointDNAT."""
    meeting = moment.meeting
    if meeting is None:
        return ""
    words = f"{socket(meeting.before)} becomes {moment.names.receiver(meeting.after)}"
    if moment.is_at(Priority.OVERRIDE):
        words += "; the pod is its own client, and will see its node's gateway address as the client"
    return words


def controller_choice(endpoint: Endpoint, names: Names) -> str:
    """What a round-robin Service's first packet brings back from the controller."""
    return f"the controller sends it again, for instance with {names.endpoint(endpoint.address, endpoint.port)}"


def _front(served: Served) -> str:
    port = f" port {served.port.name}" if served.port.name else ""
    kind = served.frontend.kind.value
    return f"Service {served.service.key}{port}, by its {kind}"


def _choice(moment: Moment, served: Served) -> str:
    choice = _choice_of(moment, served)
    if moment.drops:
        return (
            "traffic policy Local, and this node has no endpoint of its own" if choice.local else "not for this client"
        )
    if not choice.endpoints:
        return "it has no endpoint, so the connection is refused"
    count = len(choice.endpoints)
    which = "the node's only endpoint" if choice.local else "its only endpoint"
    if served.service.affinity_seconds is not None:
        return "session affinity: a client keeps its endpoint" + (f", one of {count}" if count > 1 else "")
    masked = "; its source will be translated" if _masquerades(moment) else ""
    if count == 1:
        return f"{which}, {_endpoint(moment)}{masked}"
    rule = _BY[served.service.algorithm]
    if moment.does("controller("):
        return f"one of {count}, {rule}"
    return f"{_endpoint(moment)}, one of {count}, chosen {rule}{masked}"


def _choice_of(moment: Moment, served: Served) -> Choice:
    outside = moment.source == Place.OUTSIDE
    return served.frontend.external if outside else served.frontend.internal


def _served(moment: Moment) -> Served | None:
    packet = moment.packet
    return moment.names.served(moment.node, packet.destination, packet.destination_port, packet.protocol)


def _masquerades(moment: Moment) -> bool:
    return moment.loaded(MASQUERADE) == 1


def _chosen(moment: Moment) -> IPv4Address | None:
    address = moment.loaded_from_here(ENDPOINT_ADDRESS)
    return IPv4Address(address) if address is not None else None


def _endpoint(moment: Moment) -> str:
    if moment.meeting is not None:
        return moment.names.receiver(moment.meeting.after)
    address, port = _chosen(moment), moment.loaded_from_here(ENDPOINT_PORT)
    return moment.names.endpoint(address, port or 0) if address is not None else "no endpoint"
