"""Echo requests between the nodes' gateways."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from agents.reachability import checksum, echo_request


def test_the_checksum_is_the_internets() -> None:
    """RFC 1071's example: 00 01 f2 03 f4 f5 f6 f7 sums up to ddf2, so the checksum is its complement 220d."""
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


def test_an_odd_byte_counts_as_the_upper_half_of_a_word() -> None:
    """A last single byte is padded with a zero behind it."""
    assert checksum(b"\x12") == 0xFFFF - 0x1200


def test_an_echo_request_has_type_eight_identifier_and_sequence() -> None:
    """Type 8, code 0, then identifier 7, sequence number 258 and the payload."""
    kind, code, _, identifier, sequence = struct.unpack("!BBHHH", echo_request(7, 258, b"ab")[:8])
    assert (kind, code, identifier, sequence) == (8, 0, 7, 258)
    assert echo_request(7, 258, b"ab")[8:] == b"ab"


@given(st.integers(0, 0xFFFF), st.integers(0, 1 << 20), st.binary(max_size=100))
def test_every_echo_request_passes_the_receivers_check(identifier: int, sequence: int, payload: bytes) -> None:
    """Summed up with its checksum, a request of any content gives zero; large sequence numbers wrap round."""
    request = echo_request(identifier, sequence, payload)
    assert checksum(request) == 0
    assert struct.unpack("!H", request[6:8])[0] == sequence % 65536
