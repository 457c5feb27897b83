"""Connection tracking as the walk follows it."""

from dataclasses import replace
from ipaddress import IPv4Address

from controller.walk.connections import ESTABLISHED, NEW, REPLY, Connections
from controller.walk.datapath import Track, Translation
from controller.walk.packet import Packet, Tracked
from kubinet.transport import Protocol

CLIENT, VIP, SERVER = IPv4Address("10.244.1.2"), IPv4Address("10.96.0.10"), IPv4Address("10.244.2.2")
SYN = Packet("01", "02", CLIENT, VIP, Protocol.TCP, 40000, 80, flags="syn")
LOOK = Track(1, translation=Translation())
SERVE = Track(1, True, (0x13, 0x3F), (7 << 64, 0xFF << 64), Translation("dst", SERVER, 8080, 8080))


def test_a_first_packet_is_new_until_it_is_answered() -> None:
    """Also when it is sent again, or meets its own connection a second time."""
    known = Connections()
    assert known.track("n1", LOOK, SYN) == (SYN, Tracked(NEW, 1))
    assert known.track("n1", SERVE, SYN)[1].states == NEW
    assert known.track("n1", LOOK, SYN)[1].states == NEW


def test_a_committed_translation_holds_both_ways() -> None:
    """The request goes to the endpoint; the answer comes from the address that was asked; marks go with both."""
    known = Connections()
    served, tracked = known.track("n1", SERVE, SYN)
    assert (served.destination, served.destination_port) == (SERVER, 8080)
    assert tracked == Tracked(NEW, 1, 0x13, 7 << 64)
    back, answered = known.track("n1", LOOK, served.answer("03", "04", "syn|ack"))
    assert (back.source, back.source_port, back.destination, back.destination_port) == (VIP, 80, CLIENT, 40000)
    assert answered == Tracked(REPLY, 1, 0x13, 7 << 64)
    assert known.track("n1", LOOK, SYN) == (served, Tracked(ESTABLISHED, 1, 0x13, 7 << 64))


def test_a_translated_source_takes_the_ranges_first_port() -> None:
    """Replies find their client again."""
    known = Connections()
    gateway = IPv4Address("10.244.1.1")
    out, _ = known.track("n1", Track(2, True, translation=Translation("src", gateway, 49152, 65535)), SYN)
    assert (out.source, out.source_port, out.destination) == (gateway, 49152, VIP)
    back, tracked = known.track("n1", Track(2, translation=Translation()), out.answer("03", "04", "syn|ack"))
    assert ((back.destination, back.destination_port), tracked.states) == ((CLIENT, 40000), REPLY)


def test_without_nat_the_packet_stays_as_it_is() -> None:
    """`ct(zone=4)` only tells what is known."""
    known = Connections()
    known.track("n1", SERVE, SYN)
    assert known.track("n1", Track(1), SYN) == (SYN, Tracked(NEW, 1, 0x13, 7 << 64))


def test_nodes_and_zones_know_nothing_of_each_other() -> None:
    """As every node has a connection table of its own."""
    known = Connections()
    known.track("n1", SERVE, SYN)
    assert known.track("n2", LOOK, SYN)[1] == Tracked(NEW, 1)
    assert known.track("n1", Track(2), SYN)[1] == Tracked(NEW, 2)


def test_a_commit_changes_the_marks_bits_that_it_names() -> None:
    """A denied connection is blocked and keeps its other marks."""
    known = Connections()
    known.track("n1", SERVE, SYN)
    blocked = known.track("n1", Track(1, True, (0x100, 0x100)), SYN)[1]
    assert blocked.mark == 0x113
    known.mark(1, 0, 0x100)
    assert known.track("n1", LOOK, SYN)[1].mark == 0x13


def test_an_established_connection_may_be_assumed() -> None:
    """Where nobody has made it, it counts as made, with the mark that it would have; known ones stay as they are."""
    known = Connections()
    known.track("n1", SERVE, SYN)
    known.settle()
    known.assume_established = True
    assert known.track("n1", LOOK, SYN)[1] == Tracked(ESTABLISHED, 1, 0x13, 7 << 64)
    other = replace(SYN, destination=SERVER)
    assert known.track("n1", LOOK, other, 0x3) == (other, Tracked(ESTABLISHED, 1, 0x3))
    back = other.answer("03", "04", "ack")
    assert known.track("n1", LOOK, back) == (back, Tracked(REPLY, 1, 0x3))


def test_where_ports_are_not_tracked_they_are_not_translated() -> None:
    """SCTP in the userspace datapath: an endpoint is reached where its port is the Service's."""
    known = Connections(port_blind=frozenset({Protocol.SCTP}))
    served, _ = known.track("n1", SERVE, replace(SYN, protocol=Protocol.SCTP, flags=""))
    assert (served.destination, served.destination_port) == (SERVER, 80)


def test_an_echo_reply_belongs_to_its_request() -> None:
    """ICMP has no ports."""
    known = Connections()
    request = Packet("01", "02", CLIENT, SERVER, None, 8, 0)
    known.track("n1", Track(1, True), request)
    assert known.track("n1", LOOK, request.answer("03", "04", ""))[1].states == REPLY
