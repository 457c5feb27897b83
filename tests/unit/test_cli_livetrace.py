"""A real packet beside its prediction: frames, where they are expected, and when the two disagree."""

import io
import json
import struct
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any, cast

import pytest
from test_cli_trace import STATE, WEB, A

from agents import marked, tracing
from controller.walk.hops import (
    Ending,
    Exit,
    Journey,
    Outcome,
    Party,
    Pass,
    StackHop,
    StackTurn,
    SwitchHop,
    UnderlayHop,
    Walk,
)
from controller.walk.packet import Packet, Seen
from controller.walk.parse import Step
from controller.walk.question import FromNode, FromPod, Question
from kubinet.cli.livetrace.counters import FlowName, name_of
from kubinet.cli.livetrace.experiment import Observation, Observed, check
from kubinet.cli.livetrace.sightings import Sighting, Spot, beyond, sightings
from kubinet.errors import KubinetError, UsageError
from kubinet.frames import Frame, read
from kubinet.framewords import frame_words
from kubinet.transport import Protocol

ETHERNET = bytes(12) + b"\x08\x00"
ONE, TWO = IPv4Address("10.244.1.2"), IPv4Address("10.244.2.2")
SENT = Packet("01", "02", ONE, TWO, Protocol.TCP, 40000, 80, 64, "syn")
FRAME = Frame(ONE, TWO, 6, 40000, 80, 0x1234, 64, 2)


def packed(protocol: str = "tcp") -> bytes:
    return marked.Marked(ONE, TWO, protocol, 40000, 80, 0x1234).pack()


def udp(port: int, payload: bytes) -> bytes:
    """An outer packet."""
    body = struct.pack("!HHHH", 55555, port, 8 + len(payload), 0) + payload
    ends = IPv4Address("172.18.1.2").packed + IPv4Address("172.18.2.2").packed
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 7, 0, 64, 17, 0) + ends + body


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ("tcp", "TCP 10.244.1.2:40000 > 10.244.2.2:80 SYN, ttl 64, id 0x1234"),
        ("udp", "UDP 10.244.1.2:40000 > 10.244.2.2:80, ttl 64, id 0x1234"),
        ("icmp", "ICMP 10.244.1.2 > 10.244.2.2, ttl 64, id 0x1234"),
    ],
)
def test_what_is_sent_is_read_back(protocol: str, text: str) -> None:
    """With right checksums, from Ethernet and from Linux' cooked captures."""
    data = packed(protocol)
    assert marked.checksum(data[:20]) == 0
    ends = data[12:20] + struct.pack("!BBH", 0, data[9], len(data) - 20) if protocol != "icmp" else b""
    assert marked.checksum(ends + data[20:]) == 0
    for header in (ETHERNET, bytes(14) + b"\x08\x00", b"\x08\x00" + bytes(18)):
        assert str(read(header + data)) == text


def test_the_packet_in_a_tunnel_is_told_with_its_outer_addresses() -> None:
    """VXLAN, and Geneve with options."""
    inner = ETHERNET + packed()
    around = (IPv4Address("172.18.1.2"), IPv4Address("172.18.2.2"))
    assert read(ETHERNET + udp(4789, bytes(8) + inner)) == replace(FRAME, outer=(*around, 4789))
    assert read(ETHERNET + udp(6081, b"\x02" + bytes(15) + inner)) == replace(FRAME, outer=(*around, 6081))
    words = "inside UDP 172.18.1.2 > 172.18.2.2:4789"
    assert str(read(ETHERNET + udp(4789, bytes(8) + inner))).endswith(words)


def test_a_packets_comment_names_both_ends_and_the_nodes_of_its_tunnel() -> None:
    """Names where the cluster has them, addresses otherwise, nothing about packets between strangers."""
    inner = ETHERNET + packed()
    names = {ONE: "web.shop.pod", IPv4Address("172.18.1.2"): "n1.node", IPv4Address("172.18.2.2"): "n2.node"}
    assert frame_words(inner, names) == f"TCP web.shop.pod:40000 > {TWO}:80 SYN"
    assert (
        frame_words(ETHERNET + udp(4789, bytes(8) + inner), names)
        == f"TCP web.shop.pod:40000 > {TWO}:80 SYN; VXLAN from n1.node to n2.node"
    )
    assert frame_words(inner, {IPv4Address("10.9.9.9"): "another"}) == ""
    assert frame_words(inner[:30], names) == ""


@pytest.mark.parametrize("data", [b"", ETHERNET, ETHERNET + packed()[:21], bytes(12) + b"\x86\xdd" + bytes(40)])
def test_what_is_cut_or_no_ipv4_is_nothing(data: bytes) -> None:
    """Never an error."""
    assert read(data) is None


def test_a_frame_fits_where_addresses_and_ports_agree() -> None:
    """Ports that sources are translated to are the datapath's choice."""
    sighting = Sighting(Spot("n1"), SENT, 0)
    assert sighting.fits(FRAME)
    assert not sighting.fits(replace(FRAME, destination_port=81))
    assert not sighting.fits(replace(FRAME, source=TWO))
    translated = Sighting(Spot("n1"), replace(SENT, source_port=49152), 0)
    assert translated.fits(replace(FRAME, source_port=60001))
    assert not translated.fits(FRAME)


def walk(outcome: Outcome) -> Walk:
    """From pod shop/web on n1 through its stack to an outside host."""
    left = replace(SENT, ttl=63)
    seen = Pass(Seen(SENT, 102), (Step("br-int", 0),))
    through = SwitchHop("n1", "br-int", 102, SENT, (seen,), (Exit("br-int", 2, left),))
    stack = StackHop("n1", left, StackTurn.FORWARDS, "br-phy")
    out = SwitchHop("n1", "br-phy", 0xFFFFFFFE, left, (seen,), (Exit("br-phy", 1, left),))
    return Walk(SENT, (through, stack, out, UnderlayHop("n1", "192.0.2.9", left)), outcome)


def test_a_packet_is_expected_at_every_interface_that_it_passes() -> None:
    """Once each, at the hop that it is behind."""
    found = sightings(walk(Outcome(Ending.DELIVERED, Party.OUTSIDE, "192.0.2.9")), STATE, {"192.0.2.9": "h1"})
    assert [(str(one.spot), one.hop, one.packet.ttl) for one in found] == [
        ("pod shop/web", -1, 64),
        ("n1:gw0", 0, 63),
        ("n1:br-phy", 1, 63),
        ("n1", 2, 63),
        ("h1", 3, 63),
    ]


def test_a_dropped_packet_must_not_be_seen_at_the_pod_that_it_was_for() -> None:
    """A delivered one may."""
    at = replace(SENT, destination=A.address)
    lost = Walk(at, (StackHop("n1", at, StackTurn.DROPS),), Outcome(Ending.DROPPED, node="n1"))
    assert beyond(lost, STATE) == [Spot("pod/a", "default")]
    assert beyond(replace(lost, outcome=Outcome(Ending.DELIVERED)), STATE) == []


STEP = Step("br-int", 88, "ip", 50)
DROPPED = Walk(SENT, (), Outcome(Ending.DROPPED, node="n1", step=STEP))
DELIVERED = Walk(SENT, (), Outcome(Ending.DELIVERED, Party.POD, "shop/web", "n1"))
PLACE = Sighting(Spot("n1"), SENT, 0)


def observed(journey: Journey, **seen: Any) -> Observation:
    found = {"request": (Observed(PLACE, FRAME),), "reply": (), "strays": (), "counted": {}, **seen}
    return Observation(journey, 0x1234, **found)


@pytest.mark.parametrize(
    ("observation", "said"),
    [
        (observed(Journey(DELIVERED, DELIVERED)), []),
        (observed(Journey(DELIVERED), request=(Observed(PLACE, None),)), ["it was not seen at n1"]),
        (observed(Journey(DELIVERED, DELIVERED), reply=(Observed(PLACE, None),)), ["its answer was not seen at n1"]),
        (observed(Journey(DROPPED), counted={name_of("n1", STEP): 1}), []),
        (observed(Journey(DROPPED)), ["the flow of table PolicyDeny that is to drop it has counted nothing"]),
        (
            observed(Journey(DROPPED), counted={name_of("n1", STEP): 1}, strays=((Spot("pod/a", "x"), FRAME),)),
            ["it was seen at pod x/a: TCP 10.244.1.2:40000 > 10.244.2.2:80 SYN, ttl 64, id 0x1234"],
        ),
    ],
)
def test_a_packet_that_does_otherwise_is_told(observation: Observation, said: list[str]) -> None:
    """Not where it should be, where it should not be, or dropped by nobody."""
    assert observation.disagreements == said


def test_a_datagram_need_not_be_answered() -> None:
    """Only what has answers is expected to have one."""
    asked = replace(DELIVERED, packet=replace(SENT, protocol=Protocol.UDP))
    assert observed(Journey(asked, asked), reply=(Observed(PLACE, None),)).disagreements == []


def test_a_flow_is_named_alike_by_traces_and_dumps() -> None:
    """Whatever the order of its match."""
    assert name_of("n1", Step("br-int", 4, "ip,in_port=1", 9)) == FlowName(
        "n1", "br-int", 4, 9, frozenset({"in_port=1", "ip"})
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"established": True}, "leave --established out"),
        ({"protocol": Protocol.SCTP}, "TCP, UDP and ICMP"),
        ({"sender": FromNode(STATE.nodes["n1"]), "destination": STATE.nodes["n1"].underlay.ip, "port": 30080},
         "own node port"),
    ],
)  # fmt: skip
def test_what_no_single_packet_can_show_is_refused(change: dict[str, Any], words: str) -> None:
    """Exit status 2."""
    question = Question(FromPod(WEB), A.address, Protocol.TCP, 80)
    check(question)
    with pytest.raises(UsageError, match=words):
        check(replace(question, **change))


def test_questions_to_switches_are_passed_on_line_by_line() -> None:
    """With an answer or an error for each."""

    class Fake:
        def ask(self, node: str, words: list[str]) -> str:
            if node == "n9":
                raise KubinetError("gone")
            return f"{node}: {' '.join(words)}"

    asked = [{"node": "n1", "words": ["ofproto/trace", "br-int"]}, {"node": "n9", "words": ["x"]}]
    said = io.StringIO()
    tracing.serve(cast(tracing.Switches, Fake()), io.StringIO("".join(json.dumps(one) + "\n" for one in asked)), said)
    assert [json.loads(line) for line in said.getvalue().splitlines()] == [
        {"text": "n1: ofproto/trace br-int"},
        {"error": "gone"},
    ]
