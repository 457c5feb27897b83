"""Capture files: tcpdump's stream in, pcapng out."""

import io
import struct
import subprocess
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policyclusters import cluster, pod

from kubinet.cli.addressnames import address_names
from kubinet.errors import KubinetError
from kubinet.framewords import frame_words
from kubinet.pcapng import Interface, Packet, PcapngWriter, PcapStream, Sorter

HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
FRAME = bytes(12) + b"\x08\x00" + bytes(46)


def record(seconds: int, nanoseconds: int, data: bytes, length: int) -> bytes:
    return struct.pack("<IIII", seconds, nanoseconds, len(data), length) + data


STREAM = HEADER + record(1, 5, b"abc", 100) + record(2, 6, b"", 0)
PACKETS = [Packet(1_000_000_005, 3, b"abc", 100), Packet(2_000_000_006, 3, b"", 0)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=5))
def test_pcap_stream_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    """Packets do not depend on how the pipe cuts the stream."""
    edges = [0, *sorted(cuts), len(STREAM)]
    stream = PcapStream(3)
    found = [p for start, end in pairwise(edges) for p in stream.feed(STREAM[start:end])]
    assert found == PACKETS


def test_pcap_stream_of_microseconds_and_big_endian_is_understood() -> None:
    """The other byte order and time unit give nanoseconds too."""
    data = struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + struct.pack(">IIII", 1, 7, 1, 1) + b"x"
    assert list(PcapStream(0).feed(data)) == [Packet(1_000_007_000, 0, b"x", 1)]


def test_pcap_stream_of_something_else_is_refused() -> None:
    """A program that writes no capture is an error."""
    with pytest.raises(KubinetError, match="wrote no packet capture"):
        list(PcapStream(0).feed(b"x" * 24))


def test_sorter_brings_streams_into_the_order_of_time() -> None:
    """A packet is held back until no earlier one is expected, then comes in order."""
    sorter = Sorter(hold_back=10)
    for moment in (30, 10, 20):
        sorter.add(Packet(moment, 0, b"", 0))
    assert [one.nanoseconds for one in sorter.due(31)] == [10, 20]
    assert [one.nanoseconds for one in sorter.rest()] == [30]


def test_pcapng_is_read_by_wireshark_with_names(tmp_path: Path) -> None:
    """tshark reads our file: times, lengths, and the interfaces' names and descriptions."""
    file = tmp_path / "a.pcapng"
    with file.open("wb") as stream:
        interfaces = [Interface("n1:eth0", "node n1"), Interface("shop/a", "pod", "udp")]
        writer = PcapngWriter(stream, interfaces, comment="a test", system="Linux")
        writer.write(Packet(1_700_000_000_123_456_789, 1, FRAME, 1500))
        writer.write(Packet(1_700_000_001_000_000_000, 0, FRAME, len(FRAME)))
    argv = ["tshark", "-r", str(file), "-T", "fields", "-E", "separator=;"]
    argv += [w for f in ("frame.time_epoch", "frame.len", "frame.cap_len", "frame.interface_name") for w in ("-e", f)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        pytest.skip("tshark is not installed")
    assert done.stdout.splitlines() == [
        "1700000000.123456789;1500;60;shop/a",
        "1700000001.000000000;60;60;n1:eth0",
    ]


def test_pcapng_blocks_have_whole_words() -> None:
    """Every block's length is a multiple of four and is repeated at its end, whatever the packets' lengths."""
    stream = io.BytesIO()
    writer = PcapngWriter(stream, [Interface("a", "b")], comment="c", system="d")
    for length in range(5):
        writer.write(Packet(0, 0, bytes(length), length))
    data, position, kinds = stream.getvalue(), 0, []
    while position < len(data):
        kind, size = struct.unpack_from("<II", data, position)
        assert size % 4 == 0 and struct.unpack_from("<I", data, position + size - 4) == (size,)
        kinds.append(kind)
        position += size
    assert kinds == [0x0A0D0D0A, 1, 6, 6, 6, 6, 6]


def test_wireshark_shows_the_names_of_addresses(tmp_path: Path) -> None:
    """Pods, Services, nodes and outside hosts by the names that the file brings; each packet's comment says it too."""
    state = cluster(pods=[pod("x", "a", 1, 5)])
    names = address_names(state, {"internet": IPv4Address("198.51.100.9")})
    assert names[IPv4Address("172.18.1.2")] == "n1.node"
    assert names[IPv4Address("10.244.2.1")] == "n2.gateway"
    header = bytes.fromhex("450000140001000040000000") + bytes([10, 244, 1, 5, 198, 51, 100, 9])
    frame = bytes(12) + b"\x08\x00" + header + bytes(26)
    file = tmp_path / "a.pcapng"
    with file.open("wb") as stream:
        writer = PcapngWriter(stream, [Interface("a", "b")], comment="c", system="Linux", names=names)
        writer.write(Packet(1_700_000_000_000_000_000, 0, frame, len(frame)), frame_words(frame, names))
    argv = ["tshark", "-r", str(file), "-N", "n", "-T", "fields", "-E", "separator=;"]
    argv += ["-e", "ip.src_host", "-e", "ip.dst_host", "-e", "frame.comment"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        pytest.skip("tshark is not installed")
    assert done.stdout.strip() == "a.x.pod;internet.outside;protocol 0 a.x.pod > internet.outside"
