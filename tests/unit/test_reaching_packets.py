"""The packets of real probes, as they are sent and recognised where they arrive."""

import struct

import pytest

from agents.reaching.packets import arrived, crc32c, sctp_init, transport_filter, udp_payload


def ip(protocol: int, payload: bytes, *, options: int = 0) -> bytes:
    return bytes([0x45 + options // 4]) + bytes(8) + bytes([protocol]) + bytes(10 + options) + payload


def test_the_checksum_of_sctp_is_castagnolis() -> None:
    """The check value of CRC-32C: of the digits 1 to 9."""
    assert crc32c(b"123456789") == 0xE3069283


def test_an_init_has_a_valid_checksum_and_says_which_probe_it_is() -> None:
    """Ports, tag 0, one chunk of 20 bytes; the checksum is of the packet with zeros in its place."""
    packet = sctp_init(40001, 9, 0x12345)
    assert struct.unpack_from("!HHI", packet) == (40001, 9, 0)
    assert struct.unpack_from("<I", packet, 8)[0] == crc32c(packet[:8] + bytes(4) + packet[12:])
    assert struct.unpack_from("!BBH", packet, 12) == (1, 0, 20)
    assert len(packet) == 32
    assert arrived(ip(132, packet)) == 0x2345


@pytest.mark.parametrize("options", [0, 8])
def test_a_datagram_says_which_probe_it_is(options: int) -> None:
    """Behind its UDP header, and behind IP options."""
    assert arrived(ip(17, bytes(8) + udp_payload(70000), options=options)) == 70000


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(40),
        ip(17, bytes(8) + b"something else"),
        ip(17, bytes(8) + udp_payload(1)[:9]),
        ip(6, bytes(8) + udp_payload(1)),
        ip(132, bytes(32)),
        ip(132, sctp_init(1, 2, 3)[:16]),
    ],
)
def test_other_packets_are_no_probes(packet: bytes) -> None:
    """Of other protocols, with other contents, or cut short."""
    assert arrived(packet) is None


def test_the_filter_takes_udp_and_sctp() -> None:
    """Interpreted by hand: a load of the protocol's byte, two comparisons, accept or drop."""
    program = [struct.unpack_from("HBBI", transport_filter(), 8 * index) for index in range(5)]

    def accepts(protocol: int) -> bool:
        at = 1
        while program[at][0] == 0x15:
            _, same, other, value = program[at]
            at += 1 + (same if protocol == value else other)
        return program[at] == (0x06, 0, 0, 0xFFFF)

    assert program[0] == (0x30, 0, 0, 9)
    assert {protocol for protocol in range(256) if accepts(protocol)} == {17, 132}
