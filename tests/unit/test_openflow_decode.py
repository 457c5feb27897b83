"""What the controller reads of groups and of packets that it is to choose for."""

import struct
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from controller.features.balancing import Backends
from controller.openflow.decode import FlowCookies, GroupIds, PacketIn, Refusal, decode, join
from controller.openflow.encode import MessageType, message
from controller.openflow.fields import CONTROLLER
from controller.openflow.flow import Owner
from controller.turns import Turns, answer, backends_number
from kubinet.state import Algorithm, Endpoint
from kubinet.transport import Protocol


def oxm(oxm_class: int, number: int, value: bytes) -> bytes:
    return struct.pack("!HBB", oxm_class, number << 1, len(value)) + value


def packet_in(in_port: int, registers: dict[int, tuple[int, int]], data: bytes) -> bytes:
    """OFPT_PACKET_IN of OpenFlow 1.5: registers as pairs, by the number of the pair."""
    fields = oxm(0x8000, 0, struct.pack("!I", in_port))
    fields += b"".join(oxm(0x8001, number, struct.pack("!II", *pair)) for number, pair in registers.items())
    match = struct.pack("!HH", 1, 4 + len(fields)) + fields
    match += bytes(-len(match) % 8)
    head = struct.pack("!IHBBQ", 0xFFFFFFFF, len(data), 1, 22, 0x1080000000000)
    return message(MessageType.PACKET_IN, 9, head + match + b"\0\0" + data)


PAIRS = st.dictionaries(st.integers(0, 7), st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)))


@given(st.integers(1, 0xFFFFFFFF), PAIRS, st.binary(max_size=60))
def test_a_packets_registers_port_and_bytes_are_read(
    in_port: int, pairs: dict[int, tuple[int, int]], data: bytes
) -> None:
    """Each 64-bit register is two of Open vSwitch's; those that are 0 are missing."""
    registers = {2 * number + half: pair[half] for number, pair in pairs.items() for half in (0, 1) if pair[half]}
    assert decode(packet_in(in_port, pairs, data)) == PacketIn(9, in_port, registers, data, 22)


def group_stats(*groups: int, more: bool) -> bytes:
    entries = b"".join(struct.pack("!HxxIII", 48, group, 1, 0) + bytes(32) for group in groups)
    return message(MessageType.MULTIPART_REPLY, 4, struct.pack("!HH4x", 6, int(more)) + entries)


def test_a_long_list_of_groups_comes_in_parts() -> None:
    """Joined, the parts are one answer, which is complete when the last part says so."""
    first, last = decode(group_stats(5, 7, more=True)), decode(group_stats(9, more=False))
    assert (first, last) == (GroupIds(4, (5, 7), more=True), GroupIds(4, (9,), more=False))
    assert first is not None
    assert last is not None
    assert join(first, last) == GroupIds(4, (5, 7, 9), more=False)
    assert decode(group_stats(more=False)) == GroupIds(4, (), more=False)


def test_parts_of_flow_lists_are_joined_and_other_answers_replace_each_other() -> None:
    """An error that comes after a part is the answer."""
    cookies = join(FlowCookies(4, (1,), more=True), FlowCookies(4, (2,), more=True))
    assert cookies == FlowCookies(4, (1, 2), more=True)
    assert join(cookies, Refusal(4, 1, 2)) == Refusal(4, 1, 2)


@given(st.binary(min_size=8, max_size=120), st.sampled_from([10, 19]), st.sampled_from([1, 2, 6]))
def test_hostile_packets_and_lists_raise_only_value_errors(data: bytes, kind: int, part: int) -> None:
    """Whatever bytes a switch sends, the decoder answers or raises ValueError."""
    try:
        decode(data[:1] + bytes([kind]) + data[2:8] + struct.pack("!H", part) + data[10:])
    except ValueError as error:
        assert str(error)


ENDS = tuple(Endpoint(IPv4Address(f"10.244.1.{host}"), 80) for host in (2, 3, 4))


def backends(number: int, *ends: Endpoint) -> Backends:
    return Backends(number, Owner("Service", "web", "d"), Protocol.TCP, ends, Algorithm.ROUND_ROBIN)


def test_each_set_has_its_turns_and_turns_go_on_when_endpoints_change() -> None:
    """One set's connections do not move another one's turn."""
    turns = Turns()
    one, other = backends(1, *ENDS), backends(2, *ENDS)
    assert [turns.next(one) for _ in range(4)] == [*ENDS, ENDS[0]]
    assert turns.next(other) == ENDS[0]
    assert [turns.next(backends(1, *ENDS[1:])) for _ in range(2)] == [ENDS[1], ENDS[2]]


def test_the_answer_is_the_packet_with_its_registers_and_the_endpoint() -> None:
    """From the port that it came from; from the controller where that was the patch to br-phy."""
    asked = PacketIn(9, 102, {0: 0x103, 7: 77}, b"frame")
    assert backends_number(asked) == 77
    sent = answer(asked, ENDS[0], 5)
    assert sent[8:12] == b"\xff\xff\xff\xff"
    assert struct.unpack("!I", sent[24:28]) == (102,)
    assert sent.endswith(b"frame")
    through_patch = answer(PacketIn(9, 4, {}, b"frame"), ENDS[0], 5)
    assert struct.unpack("!I", through_patch[24:28]) == (CONTROLLER,)
