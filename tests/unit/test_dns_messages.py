"""DNS messages as bytes: refusals, sizes, flags; whatever is sent, the answer is a DNS message or silence."""

from ipaddress import IPv4Address

import dns.message
import pytest
from dns.flags import AA, QR, RA, RD, TC
from dns.message import Message, make_query
from dns.name import from_text
from dns.opcode import NOTIFY, STATUS, UPDATE, Opcode
from dns.rcode import BADVERS, FORMERR, NOERROR, NOTAUTH, NOTIMP, REFUSED, Rcode
from dns.rdataclass import ANY as ANY_CLASS
from dns.rdataclass import CH
from dns.rdatatype import AXFR, IXFR, A, RdataType
from dns.rrset import from_rdata_list
from dns.tsigkeyring import from_text as keyring
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.dns.answer import Content
from agents.dns.message import Query, pack, read
from agents.dns.rdata import a

NAME = from_text("web.shop.svc.cluster.local.")


def refusal(wire: bytes) -> Message:
    response = read(wire)
    assert isinstance(response, bytes)
    return dns.message.from_wire(response)


def addresses(count: int) -> Content:
    records = [a(IPv4Address(0x0AF40001 + number)) for number in range(count)]
    return Content(NOERROR, (from_rdata_list(NAME, 5, records),))


@pytest.mark.parametrize("opcode", [STATUS, NOTIFY, UPDATE])
def test_other_operations_than_queries_are_not_implemented(opcode: Opcode) -> None:
    """NOTIMP with the query's identifier and opcode."""
    query = make_query(NAME, A, id=4711)
    wire = bytearray(query.to_wire())
    wire[2] |= opcode << 3
    response = read(bytes(wire))
    assert isinstance(response, bytes)
    assert response[:2] == (4711).to_bytes(2, "big")
    assert (response[2] >> 3 & 0xF, response[3] & 0xF, response[2] & 0x80) == (opcode, NOTIMP, 0x80)


@pytest.mark.parametrize("rdtype", [AXFR, IXFR])
def test_zone_transfers_are_refused(rdtype: RdataType) -> None:
    """REFUSED, as CoreDNS without its `transfer` plugin."""
    query = make_query(NAME, rdtype)
    assert refusal(query.to_wire()).rcode() == REFUSED


@pytest.mark.parametrize("rdclass", [CH, ANY_CLASS])
def test_other_classes_are_refused(rdclass: dns.rdataclass.RdataClass) -> None:
    """Only class IN has names here."""
    assert refusal(make_query(NAME, A, rdclass).to_wire()).rcode() == REFUSED


@pytest.mark.parametrize("questions", [0, 2])
def test_exactly_one_question_is_asked(questions: int) -> None:
    """FORMERR otherwise (RFC 9619)."""
    query = make_query(NAME, A)
    query.question = query.question * questions
    assert refusal(query.to_wire()).rcode() == FORMERR


def test_a_later_edns_is_refused_with_the_version_that_is_spoken() -> None:
    """BADVERS and an OPT record of version 0 (RFC 6891)."""
    query = make_query(NAME, A)
    query.use_edns(1)
    response = refusal(query.to_wire())
    assert (response.rcode(), response.edns) == (BADVERS, 0)


def test_signed_queries_are_not_authenticated() -> None:
    """NOTAUTH: there are no keys (RFC 8945)."""
    query = make_query(NAME, A)
    query.use_tsig(keyring({"key.": "c2VjcmV0"}))
    assert refusal(query.to_wire()).rcode() == NOTAUTH


def test_responses_and_fragments_get_no_answer() -> None:
    """What is shorter than a header or is a response itself is dropped: no two servers answer each other for ever."""
    query = make_query(NAME, A)
    wire = query.to_wire()
    assert read(wire[:11]) is None
    assert read(dns.message.make_response(query).to_wire()) is None


def test_a_cut_query_is_a_format_error() -> None:
    """FORMERR with the query's identifier."""
    query = make_query(NAME, A)
    response = refusal(query.to_wire()[:20])
    assert (response.id, response.rcode(), response.question) == (query.id, FORMERR, [])


def test_a_query_keeps_the_case_of_its_name() -> None:
    """The question comes back as it was written, letter for letter (clients use that against forgery)."""
    wire = make_query("wEb.ShoP.svc.CLUSTER.local.", A).to_wire()
    query = read(wire)
    assert isinstance(query, Query)
    response = pack(query.message, addresses(1), authoritative=True, recursive=False)
    assert b"\x03wEb\x04ShoP\x03svc\x07CLUSTER\x05local\x00" in response


def test_flags_say_who_answers() -> None:
    """AA for our own zones, RA where there is somebody to forward to, RD as it was asked."""
    asked = make_query(NAME, A)
    response = dns.message.from_wire(pack(asked, addresses(1), authoritative=True, recursive=True))
    assert response.flags == QR | AA | RA | RD
    asked = make_query(NAME, A, flags=0)
    response = dns.message.from_wire(pack(asked, addresses(1), authoritative=False, recursive=False))
    assert response.flags == QR


@pytest.mark.parametrize(
    ("payload", "records", "limit", "cut"),
    [
        (None, 28, 512, False),
        (None, 40, 512, True),
        (4096, 70, 1232, False),
        (4096, 100, 1232, True),
        (600, 40, 600, True),
        (100, 28, 512, False),
    ],
)
def test_datagrams_are_as_large_as_the_client_takes(payload: int | None, records: int, limit: int, cut: bool) -> None:
    """512 octets without EDNS, the client's size with it, never above 1232; TC says that records are missing."""
    query = make_query(NAME, A, use_edns=payload is not None, payload=payload)
    wire = pack(query, addresses(records), authoritative=True, recursive=False)
    response = dns.message.from_wire(wire)
    assert len(wire) <= limit
    assert bool(response.flags & TC) is cut


def test_streams_carry_a_whole_large_answer() -> None:
    """A headless Service with 1,000 endpoints is answered in full over TCP."""
    query = make_query(NAME, A)
    wire = pack(query, addresses(1000), authoritative=True, recursive=False, tcp=True)
    response = dns.message.from_wire(wire)
    assert (len(response.answer[0]), bool(response.flags & TC)) == (1000, False)


def test_additional_records_that_do_not_fit_are_left_out_silently() -> None:
    """TC is only for what was asked (RFC 2181, 9)."""
    content = addresses(25)
    more = tuple(from_rdata_list(from_text(f"n{n}.example."), 5, [a(IPv4Address("192.0.2.1"))]) for n in range(20))
    whole = Content(content.rcode, content.answer, additional=more)
    response = dns.message.from_wire(pack(make_query(NAME, A), whole, authoritative=True, recursive=False))
    assert (len(response.answer[0]), bool(response.flags & TC)) == (25, False)
    assert len(response.additional) < 20


def test_each_address_comes_first_equally_often() -> None:
    """The order of A records is random, so that clients that take the first spread over all (chi-square, p > 1e-6)."""
    query = make_query(NAME, A)
    firsts = [0] * 4
    for _ in range(1000):
        response = dns.message.from_wire(
            pack(query, addresses(4), authoritative=True, recursive=False), one_rr_per_rrset=True
        )
        firsts[int(str(response.answer[0][0]).rpartition(".")[2]) - 1] += 1
    assert sum((count - 250) ** 2 / 250 for count in firsts) < 30.7


@settings(deadline=None)
@given(st.binary(max_size=80), st.binary(min_size=12, max_size=12))
def test_no_bytes_make_it_fail(tail: bytes, head: bytes) -> None:
    """Any datagram is a query, silence, or is answered with a DNS message of an error that carries its identifier."""
    for wire in (tail, head + tail, head[:4] + b"\0\1\0\0\0\0\0\0" + tail):
        result = read(wire)
        if isinstance(result, bytes):
            assert result[:2] == wire[:2]
            assert Rcode(dns.message.from_wire(result).rcode()) != NOERROR
        elif isinstance(result, Query):
            assert pack(result.message, addresses(1), authoritative=True, recursive=True)
