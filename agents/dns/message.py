"""Queries and responses as bytes: what is refused before a name is looked at, and how an answer is packed. Pure."""

from dataclasses import dataclass
from typing import Final

import dns.message
from dns.exception import DNSException
from dns.flags import AA, QR, RA, RD, TC
from dns.message import Message, UnknownTSIGKey
from dns.name import Name
from dns.opcode import QUERY
from dns.rcode import BADVERS, FORMERR, NOTAUTH, NOTIMP, REFUSED, Rcode
from dns.rdataclass import IN
from dns.rdatatype import AXFR, IXFR, MAILA, MAILB, OPT, TKEY, TSIG, RdataType

from agents.dns.answer import Content

PAYLOAD: Final = 1232
"""Bytes of UDP that are offered and used at most: fits every path without fragments (DNS flag day 2020)."""

PLAIN_PAYLOAD: Final = 512
"""Bytes of UDP without EDNS (RFC 1035)."""

TCP_PAYLOAD: Final = 65535
_HEADER = 12
# No records of these types: zone transfers, and types of the protocol itself.
_REFUSED_TYPES = frozenset({AXFR, IXFR, MAILA, MAILB, OPT, TKEY, TSIG})


@dataclass(frozen=True, slots=True)
class Query:
    """A query that can be answered: one question of class IN."""

    message: Message
    name: Name
    rdtype: RdataType


def read(wire: bytes) -> Query | bytes | None:
    """The query; or the response that refuses it; or None for what gets no answer (no header, or itself a response).

    FORMERR: not a DNS message, or not exactly one question (RFC 9619). NOTIMP: another opcode than QUERY. BADVERS: a
    later EDNS (RFC 6891). NOTAUTH: signed, as there are no keys (RFC 8945). REFUSED: another class, or a transfer.
    """
    if len(wire) < _HEADER or wire[2] & 0x80:
        return None
    if (wire[2] >> 3) & 0xF != QUERY:
        return _bare(wire, NOTIMP)
    if int.from_bytes(wire[4:6], "big") != 1:
        return _bare(wire, FORMERR)
    try:
        message = dns.message.from_wire(wire)
    except UnknownTSIGKey:
        return _bare(wire, NOTAUTH)
    except (DNSException, ValueError):  # ValueError: a field that the wire allows and the library does not
        return _bare(wire, FORMERR)
    question = message.question[0]
    if message.edns > 0:
        return pack(message, Content(BADVERS), authoritative=False, recursive=False)
    if question.rdclass != IN or question.rdtype in _REFUSED_TYPES:
        return pack(message, Content(REFUSED), authoritative=False, recursive=False)
    return Query(message, question.name, question.rdtype)


def pack(query: Message, content: Content, *, authoritative: bool, recursive: bool, tcp: bool = False) -> bytes:
    """The response in at most what the client takes; TC is set when records of the answer did not fit.

    Records of a set come in random order, as CoreDNS' `loadbalance` has them: the first is what most clients use.
    """
    response = Message(id=query.id)
    response.flags = QR | (query.flags & RD)
    if authoritative:
        response.flags |= AA
    if recursive:
        response.flags |= RA
    response.question = list(query.question)
    response.answer = list(content.answer)
    response.authority = list(content.authority)
    response.additional = list(content.additional)
    limit = PLAIN_PAYLOAD
    if query.edns >= 0:
        response.use_edns(0, 0, PAYLOAD)
        limit = min(max(query.payload, PLAIN_PAYLOAD), PAYLOAD)
    response.set_rcode(content.rcode)
    return response.to_wire(max_size=TCP_PAYLOAD if tcp else limit, prefer_truncation=True, want_shuffle=True)


def truncated(wire: bytes) -> bool:
    """Whether a response has the TC flag."""
    return bool(int.from_bytes(wire[2:4], "big") & TC)


def _bare(wire: bytes, rcode: Rcode) -> bytes:
    """A response of a header only: identifier, opcode and RD of the query."""
    flags = QR | (int.from_bytes(wire[2:4], "big") & (0x7800 | RD)) | rcode
    return wire[:2] + flags.to_bytes(2, "big") + bytes(8)
