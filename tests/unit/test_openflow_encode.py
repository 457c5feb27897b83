"""The encoder against Open vSwitch's own parser and printer."""

import re
import shutil
import subprocess
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.openflow.actions import (
    BOUNCE,
    Action,
    Conjunction,
    CopyField,
    Ct,
    DecrementTtl,
    Goto,
    HashFields,
    Learn,
    Multipath,
    Nat,
    Output,
    OutputRegister,
    Resubmit,
    SetField,
    ToController,
    ToGroup,
    copy,
)
from controller.openflow.decode import BundleAnswer, FlowCookies, FlowCount, Refusal, decode
from controller.openflow.encode import (
    BundleControl,
    MessageType,
    add_flow,
    aggregate_request,
    bundle,
    bundle_control,
    delete_by_cookie,
    delete_flow,
    delete_group,
    flow_desc_request,
    group_stats_request,
    message,
    packet_out,
    put_group,
    put_meter,
)
from controller.openflow.fields import (
    ARP,
    ARP_OP,
    ARP_SHA,
    ARP_SPA,
    ARP_TPA,
    CONJ_ID,
    CT_LABEL,
    CT_MARK,
    ETH_DST,
    ETH_SRC,
    ICMP,
    IN_PORT,
    IP,
    IP_TTL,
    IPV4_DST,
    IPV4_SRC,
    LOCAL,
    REG0,
    REG1,
    REG2,
    TCP,
    TCP_DST,
    TCP_RESET,
    TCP_SRC,
    TUN_DST,
    TUN_SRC,
    UDP,
    UDP_DST,
    Bits,
    Match,
    Term,
    ct_state,
)
from controller.openflow.flow import Bucket, Category, Flow, Group, GroupKind, Meter, Owner, Selection

pytestmark = pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="ovs-ofctl is not installed")

OWNER = Owner("Pod", "a", "default")
SLICE = Bits(REG0, 4, 4)

addresses = st.integers(1, 0xFFFFFFFE).map(IPv4Address)
macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))


@st.composite
def networks(draw: st.DrawFn) -> IPv4Network:
    return IPv4Network((draw(addresses), draw(st.integers(1, 32))), strict=False)


ip_terms = st.lists(
    st.one_of(
        networks().map(IPV4_SRC),
        networks().map(IPV4_DST),
        st.integers(0, 255).map(IP_TTL),
    ),
    max_size=3,
    unique_by=lambda term: term.field.name,
).map(lambda terms: [IP, *terms])
arp_terms = st.lists(
    st.one_of(networks().map(ARP_SPA), networks().map(ARP_TPA), macs.map(ARP_SHA), st.sampled_from([ARP_OP(1)])),
    max_size=4,
    unique_by=lambda term: term.field.name,
).map(lambda terms: [ARP, *terms])
ct_flags = st.lists(st.sampled_from(["est", "new", "rel", "rpl", "snat"]), max_size=4, unique=True)
ct_states = st.tuples(ct_flags, st.sampled_from("+-")).map(
    lambda drawn: ct_state("+trk" + "".join(drawn[1] + name for name in drawn[0]))
)
tcp_terms = st.tuples(ip_terms, st.integers(1, 65535), ct_states).map(
    lambda drawn: [*drawn[0], TCP, TCP_DST(drawn[1]), TCP_RESET, drawn[2], Bits(CT_MARK, 4, 1)(1)]
)
udp_terms = st.tuples(ip_terms, st.integers(1, 65535), st.integers(0, 15)).map(
    lambda drawn: [*drawn[0], UDP, UDP_DST(drawn[1] & 0xFFFF << drawn[2] & 0xFFFF, 0xFFFF << drawn[2] & 0xFFFF)]
)
plain_terms = st.sampled_from([[], [IP, TCP], [IP, ICMP]])
other_terms = st.lists(
    st.one_of(
        st.integers(1, 1000).map(IN_PORT),
        st.just(IN_PORT(LOCAL)),
        macs.map(ETH_SRC),
        macs.map(ETH_DST),
        st.integers(0, 15).map(SLICE),
        st.integers(0, 15).map(Bits(REG0, 0, 4)),
        addresses.map(TUN_SRC),
        st.integers(1, 0xFFFFFFFF).map(CONJ_ID),
    ),
    max_size=4,
    unique_by=lambda term: (term.field.name, term.mask),
)
matches = st.tuples(st.one_of(ip_terms, arp_terms, udp_terms, tcp_terms, plain_terms), other_terms).map(
    lambda pair: Match.of(*pair[0], *pair[1])
)


@st.composite
def nats(draw: st.DrawFn) -> Nat:
    address = draw(st.none() | addresses)
    if address is None:
        return Nat()
    first = draw(st.integers(1, 65535))
    ports = draw(st.none() | st.integers(first, 65535).map(lambda last: (first, last)))
    return Nat(source=address, ports=ports) if draw(st.booleans()) else Nat(destination=address, ports=ports)


@st.composite
def cts(draw: st.DrawFn) -> Ct:
    nat = draw(st.none() | nats())
    # Choosing an address, and marks, need commit.
    chosen = nat is not None and (nat.source or nat.destination) is not None
    commit = chosen or draw(st.booleans())
    mark = Bits(CT_MARK, 4, 2)(draw(st.integers(0, 3)))
    copied = CopyField(Bits.whole(REG1), Bits(CT_LABEL, 64, 32))
    marks: tuple[Term | CopyField, ...] = draw(st.sampled_from([(), (mark,), (mark, copied)])) if commit else ()
    return Ct(draw(st.integers(0, 65535)), commit, draw(st.none() | st.integers(200, 250)), nat, marks)


learns = st.builds(
    Learn,
    table=st.integers(200, 250),
    priority=st.integers(0, 65535),
    cookie=st.integers(1, 2**64 - 2),
    idle_seconds=st.integers(1, 65535),
    limit=st.integers(1, 2**32 - 1),
    constant=st.sampled_from([(IP,), (IP, TCP)]),
    equal=st.sampled_from([(IPV4_SRC,), (IPV4_SRC, REG1)]),
    loads=st.sampled_from([(Bits.whole(REG2),), (Bits.whole(REG2), Bits(REG0, 0, 16))]),
)
multipaths = st.builds(
    Multipath, st.sampled_from(HashFields), st.integers(0, 65535), st.integers(1, 65535), st.just(Bits(REG2, 0, 16))
)
ip_actions = st.one_of(cts(), st.just(DecrementTtl()), learns, multipaths)
any_actions: st.SearchStrategy[Action] = st.one_of(
    st.integers(1, 1000).map(Output),
    st.just(BOUNCE),
    st.just(Output(LOCAL)),
    st.just(OutputRegister(Bits.whole(REG1))),
    macs.map(lambda mac: SetField(ETH_DST(mac))),
    st.integers(0, 15).map(lambda number: SetField(SLICE(number))),
    addresses.map(lambda address: SetField(TUN_DST(address))),
    st.just(copy(ETH_SRC, ETH_DST)),
    st.just(copy(REG1, REG2)),
    st.integers(1, 1000).map(ToGroup),
    st.integers(0, 250).map(Resubmit),
    st.builds(
        ToController,
        st.binary(min_size=1, max_size=8),
        st.sampled_from([128, 0xFFFF]),
        st.none() | st.integers(1, 1000),
    ),
)


conjunctions = st.builds(
    lambda number, clauses, clause: Conjunction(number, clause % clauses, clauses),
    st.integers(1, 0xFFFFFFFF),
    st.integers(2, 64),
    st.integers(0, 63),
)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    match = draw(matches)
    choices = any_actions | ip_actions if IP in match.terms else any_actions
    actions: list[Action] = draw(st.lists(choices, max_size=6))
    if draw(st.integers(0, 4)) == 0:
        actions = list(draw(st.lists(conjunctions, min_size=1, max_size=4, unique_by=lambda one: one.id)))
    elif draw(st.booleans()):
        actions.append(Goto(draw(st.integers(200, 253))))
    return Flow(
        draw(st.integers(0, 199)),
        draw(st.integers(0, 65535)),
        match,
        tuple(actions),
        OWNER,
        draw(st.sampled_from(Category)),
    )


def printed(data: bytes) -> str:
    """What ovs-ofctl says a message is; it must have nothing to complain about."""
    done = subprocess.run(
        ["ovs-ofctl", "ofp-print", data.hex()], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stderr == ""
    return done.stdout.strip()


def parsed(flow: Flow) -> str:
    """What ovs-ofctl makes of the flow's text; it must not weaken ("normalize") the match."""
    done = subprocess.run(
        ["ovs-ofctl", "-O", "OpenFlow15", "parse-flow", flow.to_text()],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert done.stderr == ""
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(flows(), st.integers(1, 0x7FFF))
def test_bytes_and_text_of_a_flow_mean_the_same_to_open_vswitch(flow: Flow, generation: int) -> None:
    """A flow's bytes print as Open vSwitch prints the flow's text."""
    cookie = f" cookie:{flow.cookie(generation):#x}"
    said = printed(add_flow(flow, generation, 7)).replace("(xid=0x7)", "(xid=0x1)")
    assert cookie in said
    assert said.replace(cookie, "") == parsed(flow)


def test_every_message_is_what_it_says() -> None:
    """Each kind of message that the controller sends prints as that message."""
    flow = Flow(3, 9, Match.of(IP), (Output(4),), OWNER, Category.PODS)
    assert (
        printed(delete_flow(flow, 5))
        == "OFPT_FLOW_MOD (OF1.5) (xid=0x5): DEL_STRICT table:3 priority=9,ip actions=drop"
    )
    assert printed(delete_by_cookie(1 << 48, 3 << 48, 5)) == (
        "OFPT_FLOW_MOD (OF1.5) (xid=0x5): DEL table:255 priority=0 cookie:0x1000000000000/0x3000000000000 actions=drop"
    )
    assert printed(flow_desc_request(6, 253)) == "OFPST_FLOW request (OF1.5) (xid=0x6): table=253"
    assert printed(aggregate_request(0, 1 << 63, 6)) == "OFPST_AGGREGATE request (OF1.5) (xid=0x6):"
    assert printed(bundle_control(1, BundleControl.COMMIT_REQUEST, 6)) == (
        "OFPT_BUNDLE_CONTROL (OF1.5) (xid=0x6):\n bundle_id=0x1 type=COMMIT_REQUEST flags=atomic ordered"
    )


BUCKETS = (Bucket(3, (Output(3),), 5), Bucket(9, (), 2))


@pytest.mark.parametrize(
    ("selection", "text"),
    [
        (None, ""),
        (Selection("dp_hash", 7), "selection_method=dp_hash,selection_method_param=7,"),
        (Selection("hash", fields=(IPV4_SRC,)), "selection_method=hash,fields(nw_src),"),
        (Selection("hash", fields=(IPV4_SRC, TCP_SRC)), "selection_method=hash,fields(nw_src,tcp_src),"),
    ],
)
def test_a_group_prints_as_its_text(selection: Selection | None, text: str) -> None:
    """A select group carries how it selects, bucket ids and weights."""
    group = Group(4, GroupKind.SELECT, BUCKETS, OWNER, selection)
    buckets = "bucket=bucket_id:3,weight:5,actions=output:3,bucket=bucket_id:9,weight:2,actions=drop"
    assert group.to_text() == f"group_id=4,type=select,{text}{buckets}"
    done = subprocess.run(
        ["ovs-ofctl", "-O", "OpenFlow15", "parse-group", group.to_text()], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].strip().removeprefix("ADD ") in printed(put_group(group, 7))


def test_groups_are_listed_and_deleted_and_packets_sent_again() -> None:
    """The other messages about groups, and the packet-out by which the controller answers for a Service."""
    assert printed(delete_group(4, 7)) == "OFPT_GROUP_MOD (OF1.5) (xid=0x7):\n DEL group_id=4,type=all"
    assert printed(group_stats_request(7)) == "OFPST_GROUP request (OF1.5) (xid=0x7): group_id=ALL"
    sent = printed(packet_out(bytes(60), 3, (SetField(REG1(1)), Resubmit(10)), 9))
    assert "OFPT_PACKET_OUT (OF1.5) (xid=0x9): in_port=3 actions=set_field:0x1->reg1,resubmit(,10)" in sent


def test_a_meter_is_deleted_and_then_added() -> None:
    """So that it is what is wanted whether it was there or not; it counts packets."""
    deleted, added = map(printed, put_meter(Meter(2, 100, 50), 7))
    assert deleted.startswith("OFPT_METER_MOD (OF1.5) (xid=0x7): DEL meter=2")
    assert added == (
        "OFPT_METER_MOD (OF1.5) (xid=0x7): ADD meter=2 pktps burst stats bands=\ntype=drop rate=100 burst_size=50"
    )


def test_a_bundle_is_open_parts_commit_with_equal_transaction_ids_inside() -> None:
    """A message inside a bundle keeps its transaction id, so that an error names the flow."""
    flow = Flow(0, 1, Match(), (), OWNER, Category.BASE)
    data = bundle(2, [add_flow(flow, 1, 77), delete_flow(flow, 78)], open_xid=76, commit_xid=79)
    xids = []
    while data:
        size = int.from_bytes(data[2:4], "big")
        xids.append((re.sub(r" .*", "", printed(data[:size]).splitlines()[0]), int.from_bytes(data[4:8], "big")))
        data = data[size:]
    assert xids == [
        ("OFPT_BUNDLE_CONTROL", 76),
        ("OFPT_BUNDLE_ADD_MESSAGE", 77),
        ("OFPT_BUNDLE_ADD_MESSAGE", 78),
        ("OFPT_BUNDLE_CONTROL", 79),
    ]


def test_answers_are_read() -> None:
    """Errors, bundle answers, flow counts and cookies come out of their bytes."""
    assert decode(message(MessageType.ERROR, 3, bytes.fromhex("00110003") + b"data")) == Refusal(3, 17, 3)
    answer = decode(bundle_control(9, BundleControl.COMMIT_REPLY, 4))
    assert answer == BundleAnswer(4, 9, 5)
    assert isinstance(answer, BundleAnswer)
    assert answer.committed
    stats = bytes.fromhex("0000000c 80020604 0000002a")
    assert decode(message(MessageType.MULTIPART_REPLY, 5, bytes.fromhex("0002000000000000") + stats)) == FlowCount(
        5, 42
    )
    entry = bytes.fromhex("0020 0000 fd 00 00c8 0000 0000 0000 0000 0007010000000001 0001000400000000".replace(" ", ""))
    assert decode(message(MessageType.MULTIPART_REPLY, 6, bytes.fromhex("0001000100000000") + entry)) == FlowCookies(
        6, (0x0007010000000001,), True
    )
    assert decode(message(MessageType.BARRIER_REPLY, 8, b"")) is None


@given(st.binary(min_size=8, max_size=80), st.sampled_from([1, 19, 33]))
def test_hostile_answers_raise_only_value_errors(data: bytes, kind: int) -> None:
    """Whatever bytes a switch sends, the decoder answers or raises ValueError."""
    try:
        decode(data[:1] + bytes([kind]) + data[2:])
    except ValueError as error:
        assert str(error)


def test_contradictions_are_refused_when_a_value_is_made() -> None:
    """Values that do not fit, slices that contradict each other, unequal copies and impossible NAT are errors."""
    with pytest.raises(ValueError, match="reg0"):
        SLICE(16)
    with pytest.raises(ValueError, match="cannot hold together"):
        Match.of(SLICE(1), SLICE(2))
    with pytest.raises(ValueError, match="widths differ"):
        copy(ETH_SRC, REG1)
    with pytest.raises(ValueError, match="needs an address"):
        Nat(ports=(1, 2))
    with pytest.raises(ValueError, match="do not fit one OpenFlow message"):
        message(MessageType.FLOW_MOD, 1, bytes(65530))
