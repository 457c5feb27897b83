"""Tables of br-int that every packet passes: where it came from, its connection, where it goes. Pure."""

from controller.pipeline import DESTINATION, OUTPUT_PORT, Place, Priority
from controller.walk.hops import Meeting
from controller.walk.words.moment import Moment, place_words
from controller.walk.words.names import Names, socket
from kubinet.addressing import TUNNEL_PORT


def classifier(moment: Moment) -> str:
    """Table Classifier."""
    port = moment.hop.port if moment.hop.bridge == moment.step.bridge else 0
    pod = moment.names.pod_at(moment.node, port)
    if moment.step.priority == Priority.MISS:
        return _unknown(moment, port)
    if moment.source == Place.POD and pod is not None:
        return f"from pod {pod.key}"
    if moment.source in (Place.TUNNEL, Place.UPLINK):
        way = "through the tunnel" if moment.source == Place.TUNNEL else "without encapsulation"
        peer = moment.owner_words
        return f"from {peer or 'another node'} {way}"
    return f"from {place_words(moment, moment.source)}"


def spoof_guard(moment: Moment) -> str:
    """Table SpoofGuard."""
    packet = moment.packet
    if moment.drops:
        pod = moment.names.pod_at(moment.node, moment.hop.port)
        own = f"{pod.address} and {pod.mac}" if pod is not None else "its own"
        return f"the source {packet.source} with MAC {packet.eth_src} is forged: the pod's are {own}"
    return f"{packet.source} and {packet.eth_src} are the pod's own"


def unsnat(moment: Moment) -> str:
    """Table UnSnat."""
    return f"{moment.packet.destination} may be a translated client" if moment.does("ct(") else ""


def met(meeting: Meeting, names: Names) -> str:
    """What connection tracking has said, where a pass begins with it."""
    tracked, before, after = meeting.tracked, meeting.before, meeting.after
    kind = "a known connection's answer" if "rpl" in tracked.states else "a known connection"
    words = "a new connection" if "new" in tracked.states else kind
    if after.source != before.source or after.ports[0] != before.ports[0]:
        words += f"; source {socket(before, source=True)} becomes {socket(after, source=True)}"
    if (after.destination, after.ports[1]) != (before.destination, before.ports[1]):
        words += f"; destination {socket(before)} becomes {names.receiver(after)}"
    return words


def connection_state(moment: Moment) -> str:
    """Table ConntrackState."""
    if moment.drops:
        return "connection tracking finds the packet invalid"
    return ""


def l3_forward(moment: Moment) -> str:
    """Table L3Forward."""
    packet = moment.packet
    if moment.drops:
        return f"no pod and no Service has {packet.destination}"
    place = moment.loaded(DESTINATION)
    if place == Place.POD:
        pod = moment.names.pod_at(moment.node, moment.loaded(OUTPUT_PORT) or 0)
        return f"to pod {pod.key}" if pod is not None else "to a pod"
    if place in (Place.TUNNEL, Place.UPLINK):
        way = "through the tunnel" if place == Place.TUNNEL else "without encapsulation"
        return f"to {moment.owner_words or 'another node'} {way}"
    if place == Place.OUTSIDE:
        return "back to the client outside, by br-phy"
    return f"to the own stack of node {moment.node.name}"


def l3_dec_ttl(moment: Moment) -> str:
    """Table L3DecTTL."""
    if moment.drops:
        return "its time to live has run out"
    return f"time to live {moment.packet.ttl} becomes {moment.packet.ttl - 1}" if moment.does("dec_ttl") else ""


def snat(moment: Moment) -> str:
    """Table Snat."""
    meeting = moment.meeting
    if meeting is None or not moment.does("ct("):
        return ""
    return f"the source becomes {socket(meeting.after, source=True)}, so that replies come back here"


def conntrack_commit(moment: Moment) -> str:
    """Table ConntrackCommit."""
    return "the connection is remembered" if moment.does("ct(") else ""


def output(moment: Moment) -> str:
    """Table Output."""
    port = next((left.port for left in moment.hop.exits if left.bridge == moment.step.bridge), None)
    if port is None:
        return ""
    pod = moment.names.pod_at(moment.node, port)
    if pod is not None:
        return f"out of port {port}, pod {pod.key}"
    return f"out of port {port}" + (" (tunnel)" if port == TUNNEL_PORT else "")


def _unknown(moment: Moment, port: int) -> str:
    tunnel = moment.hop.passes[0].seen.tunnel
    if tunnel is not None:
        return f"no node has the tunnel's source {tunnel.source}"
    pod = moment.names.pod_at(moment.node, port)
    if pod is not None:
        return f"the bridge has no flows of pod {pod.key}: they are not installed"
    return f"nothing is known at port {port}"
