"""Ports as questions: how they are written, and in which spans all of them are asked about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policyclusters import cluster, clusters, netpol, pod

from kubinet.policies import Direction, PortRange, Rule
from kubinet.policy import Oracle
from kubinet.reach.portwords import parse_ports
from kubinet.reach.probes import ICMP, Probe, parse_probe
from kubinet.reach.spans import Span, joined, ports_words, spans, within
from kubinet.state import ClusterState
from kubinet.transport import Protocol

TCP, UDP, SCTP = Protocol


@pytest.mark.parametrize(
    ("text", "probe"),
    [
        ("80", Probe(TCP, 80)),
        ("80/TCP", Probe(TCP, 80)),
        ("53/udp", Probe(UDP, 53)),
        ("icmp", ICMP),
        (80, Probe(TCP, 80)),
    ],
)
def test_a_port_is_written_as_kubernetes_writes_it(text: object, probe: Probe) -> None:
    """NUMBER/PROTOCOL; TCP where none is named; ICMP has no number."""
    assert parse_probe(text) == probe


@pytest.mark.parametrize("text", ["", "0", "65536", "80/", "80/ICMP", "tcp/80", "80-90/TCP", "-1", "8\uff10"])
def test_what_is_no_port_is_refused(text: str) -> None:
    """The message says how ports are written."""
    with pytest.raises(ValueError, match="is no port: write NUMBER/PROTOCOL"):
        parse_probe(text)


def state(*ports: PortRange) -> ClusterState:
    """A policy that names these ports; pod x/a has port web, 8080/TCP."""
    policy = netpol("p", directions=frozenset({Direction.INGRESS}), ingress=[Rule(None, tuple(ports))])
    return cluster([policy], [pod("x", "a", 1, 3)])


def test_ports_are_cut_where_policies_and_names_cut() -> None:
    """A range of 80 to 90 and the named port 8080: TCP has five spans; UDP, SCTP and ICMP one each."""
    assert [str(span) for span in spans([state(PortRange(TCP, 80, 90))])] == [
        "1-79/TCP",
        "80-90/TCP",
        "91-8079/TCP",
        "8080/TCP",
        "8081-65535/TCP",
        "every port/UDP",
        "every port/SCTP",
        "ICMP",
    ]


@pytest.mark.slow
@given(clusters(3), st.integers(1, 65535), st.sampled_from(Protocol))
def test_a_spans_first_port_speaks_for_all_of_it(found: ClusterState, port: int, protocol: Protocol) -> None:
    """The oracle says of any port what it says of the first port of its span."""
    (span,) = (one for one in spans([found]) if one.protocol is protocol and one.first <= port <= one.last)
    oracle = Oracle(found)
    pods = [oracle.party(one.address) for one in found.pods.values()]
    for source in pods[:3]:
        for to in pods[:3]:
            answers = {oracle.judge(source, to, protocol, number).allowed for number in (port, span.first, span.last)}
            assert len(answers) == 1


def test_neighbours_are_told_together() -> None:
    """Spans that touch become one; all that there is has a word."""
    assert joined([Span(TCP, 91, 99), Span(UDP, 1, 2), Span(TCP, 80, 90)]) == [Span(TCP, 80, 99), Span(UDP, 1, 2)]
    assert ports_words([Span(TCP, 91, 99), Span(TCP, 80, 90), Span(None)]) == "80-99/TCP, ICMP"
    assert ports_words(spans([state(PortRange(TCP, 80, 90))])) == "everything"


def test_a_range_is_asked_about_in_parts() -> None:
    """8000-8100 around the named port 8080; a protocol; anything."""
    here = [state()]
    assert [str(span) for span in parse_ports("8000-8100/TCP").asked(here)] == [
        "8000-8079/TCP",
        "8080/TCP",
        "8081-8100/TCP",
    ]
    assert [str(span) for span in parse_ports("any/udp").asked(here)] == ["every port/UDP"]
    assert parse_ports("any").asked(here) == spans(here)
    assert within(Span(None), here) == [Span(None)]
    assert [parse_ports(text).wide for text in ("80", "80-81", "any", "any/TCP", "ICMP")] == [
        False,
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("text", ["90-80/TCP", "any/ICMP", "80-", "-", "x"])
def test_what_is_no_range_is_refused(text: str) -> None:
    """Ranges begin before they end, and have both ends."""
    with pytest.raises(ValueError, match=r"range ends before|is no port"):
        parse_ports(text)
