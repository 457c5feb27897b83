"""The flow that asks the kernel's Open vSwitch for connection tracking."""

import struct
from collections.abc import Iterator

from topologies.conntrack_probe import attribute, probe_flow


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[length + -length % 4 :]


def test_an_attribute_is_padded_to_four_bytes_and_its_length_is_not() -> None:
    """struct nlattr: the length counts header and value, the padding follows."""
    assert attribute(2, b"abc") == struct.pack("=HH", 7, 2) + b"abc\0"
    assert attribute(1) == struct.pack("=HH", 4, 1)


def test_the_probe_asks_for_all_that_the_pipeline_uses() -> None:
    """One ct action (12) with commit (1), zone 5 (2), mark (3), labels (4) and source NAT to an address (6: 1, 3)."""
    flow = dict(_attributes(probe_flow()))
    assert set(flow) == {1, 2, 8}
    [(action, tracking)] = _attributes(flow[2])
    asked = dict(_attributes(tracking))
    assert (action, set(asked)) == (12, {1, 2, 3, 4, 6})
    assert asked[2] == struct.pack("=H", 5)
    assert (len(asked[3]), len(asked[4])) == (8, 32)
    assert dict(_attributes(asked[6])) == {1: b"", 3: bytes([192, 0, 2, 3])}
