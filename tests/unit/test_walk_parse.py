"""`ofproto/trace`'s words as values; the texts in `traces/` were written by Open vSwitch 3.1.0 on a running cluster."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.walk import datapath, packet
from controller.walk.datapath import Encapsulate, Hash, Other, Recirculate, Track, Translation
from controller.walk.exits import exits
from controller.walk.hops import Exit
from controller.walk.packet import Packet, Seen, Tracked, Tunnel, WalkError
from controller.walk.parse import Section, Step, parse
from kubinet.transport import Protocol

TRACES = Path(__file__).parent / "traces"
CLIENT, SERVER, VIP = IPv4Address("10.244.0.3"), IPv4Address("10.244.2.2"), IPv4Address("10.96.1.0")
VIRTUAL = "aa:bb:cc:dd:ee:ff"


def trace(name: str) -> tuple[Section, ...]:
    return parse((TRACES / f"{name}.txt").read_text())


def ways(sections: tuple[Section, ...]) -> list[list[tuple[str, int]]]:
    return [[(step.bridge, step.number) for step in section.steps] for section in sections]


def test_a_step_is_a_table_with_its_flow_and_actions() -> None:
    """Bridge, table, match, priority, cookie, what the flow does; the owner is found by the cookie."""
    step = trace("service-over-tunnel")[0].steps[1]
    match = "ip,in_port=103,dl_src=0a:58:0a:f4:00:03,nw_src=10.244.0.3"
    assert step == Step("br-int", 4, match, 200, 0x10200018B8424, actions=("goto_table:8",))
    assert (step.table, step.category) == ("SpoofGuard", "pods")
    assert step.owner({0x018B8424: "Pod/echo/client"}) == "Pod/echo/client"
    assert step.owner({}) == ""


def test_sections_are_the_passes_between_connection_tracking() -> None:
    """As received, after table 10, after the translation; each with its tables, its packet and its datapath actions."""
    sections = trace("service-over-tunnel")
    assert ways(sections) == [
        [("br-int", number) for number in (0, 4, 8, 10)],
        [("br-int", number) for number in (12, 22, 30)],
        [("br-int", number) for number in (40, 50, 60, 70, 80, 82, 84, 90)] + [("br-phy", 0)],
    ]
    assert [section.steps[-1].resumes_at for section in sections] == [(12,), (40,), ()]
    assert sections[0].datapath[1] == Recirculate(sections[1].recirculation or 0)
    chosen = Translation("dst", SERVER, 8080, 8080)
    label = (0x98BE73AA << 64, 0xFFFFFFFF << 64)
    assert sections[1].datapath[0] == Track(1, True, (0x13, 0x3F), label, chosen)
    assert sections[2].before_translation == "nw_src=10.244.0.3,tp_src=40000,nw_dst=10.96.1.0,tp_dst=80"


def test_the_packet_is_read_with_its_registers_and_connection() -> None:
    """As it resumes behind the translation."""
    flow = trace("service-over-tunnel")[2].flow
    client, states = "0a:58:0a:f4:00:03", frozenset({"new", "trk"})
    assert packet.parse(flow) == Seen(
        Packet(client, VIRTUAL, CLIENT, SERVER, Protocol.TCP, 40000, 8080, 64, "syn"),
        103,
        {0: 0x3, 3: int(SERVER), 4: 8080, 7: 0x98BE73AA},
        Tracked(states, 1, 0x13, 0x98BE73AA << 64),
    )


def test_the_tunnels_outer_header_is_the_datapaths() -> None:
    """Out of the tunnel port; what the outer packet does on br-phy is no exit of its own."""
    section = trace("resumed")[0]
    outer = Encapsulate(IPv4Address("172.18.0.0"), IPv4Address("172.18.0.4"), 4789)
    inner = Packet(VIRTUAL, VIRTUAL, CLIENT, SERVER, Protocol.TCP, 40000, 8080, 63, "syn")
    assert list(exits(section, 103)) == [Exit("br-int", 1, inner, outer)]
    assert section.steps[-1].bridge == "br-phy"


def test_a_kernel_tunnels_outer_header_names_its_far_end() -> None:
    """With the kernel's datapath the source address is the kernel's choice."""
    text = "set(tunnel(tun_id=0x0,dst=172.18.0.4,ttl=64,tp_dst=6081,flags(df|key))),set(ipv4(ttl=63)),3"
    assert datapath.parse(text) == (
        Encapsulate(None, IPv4Address("172.18.0.4"), 6081),
        Other("set(ipv4(ttl=63))"),
        Other("3"),
    )


def test_a_hashed_group_asks_for_a_hash_first() -> None:
    """Without one the pass ends; with one the bucket's actions and the tables behind it are there."""
    asked = trace("group-without-hash")[-1]
    assert asked.datapath[0] == Hash()
    assert isinstance(asked.datapath[1], Recirculate)
    chosen = trace("group")[1].steps
    assert [(step.number, step.depth, step.bucket) for step in chosen] == [(12, 0, None), (22, 0, 1), (30, 1, None)]
    assert chosen[1].actions[:3] == ("set_field:0xfd338f5c->reg7", "group:4248014684", "bucket 1")


def test_a_subroutine_is_deeper_than_its_caller() -> None:
    """Table 24 returns to table 22's flow, whose last action leads on to 26; learning has no effect in a trace."""
    steps = trace("affinity")[1].steps
    assert [(step.number, step.depth) for step in steps] == [(12, 0), (22, 0), (24, 1), (26, 0), (29, 1), (30, 1)]
    assert steps[1].actions == ("set_field:0xd0ead1dc->reg7", "resubmit(,24)", "goto_table:26")
    assert steps[4].warnings == ("suppressing side effects, so learn action ignored",)


def test_patch_ports_lead_from_bridge_to_bridge() -> None:
    """In by br-phy, on in br-int within one pass; what comes back from br-int goes out of br-phy in the next pass."""
    inward = trace("node-port-from-outside")
    assert ways(inward)[:2] == [[("br-phy", 0)], [("br-phy", 12), ("br-int", 0), ("br-int", 8), ("br-int", 10)]]
    assert list(exits(inward[1], 1)) == []
    outward = trace("to-outside-client")[0]
    assert (outward.steps[-1].bridge, outward.steps[-1].actions) == ("br-phy", ("ct(table=14,zone=4)",))


def test_a_drop_has_no_exit() -> None:
    """The last step is the flow that drops."""
    section = trace("forged")[0]
    last = section.steps[-1]
    assert (last.number, last.priority, last.match, last.actions) == (4, 100, "in_port=103", ("drop",))
    assert (section.datapath, list(exits(section, 103))) == ((Other("drop"),), [])


def test_a_resumption_that_open_vswitch_cannot_follow_is_told() -> None:
    """It says so itself, in the section; the walk takes only the packet from there."""
    section = trace("to-outside-client")[1]
    assert section.trouble == (
        "Recirculation conflict (actions)!; Translation failed (Recirculation conflict), packet is dropped."
    )
    assert packet.parse(section.flow).in_port == 2


@pytest.mark.parametrize("text", ["", "br-int: unknown bridge\n", "Flow: tcp\n"])
def test_what_is_no_trace_is_refused(text: str) -> None:
    """With what was read."""
    with pytest.raises(WalkError, match="ofproto/trace"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("ct", Track(0)),
        ("ct(zone=4)", Track(4)),
        ("ct(commit,zone=3,nat(src=172.18.1.2:49152-65535))", Track(3, True, translation=Translation(
            "src", IPv4Address("172.18.1.2"), 49152, 65535))),
        ("ct(commit,zone=3,nat(src=172.18.1.2))", Track(3, True, translation=Translation(
            "src", IPv4Address("172.18.1.2")))),
        ("ct(zone=2,nat)", Track(2, translation=Translation())),
        ("recirc(0x1f)", Recirculate(0x1F)),
        ("hash(l4(19540))", Hash()),
        ("userspace(pid=0,controller(reason=1))", Other("userspace(pid=0,controller(reason=1))")),
    ],
)  # fmt: skip
def test_datapath_actions_are_read_one_by_one(text: str, action: object) -> None:
    """Commas in parentheses separate nothing."""
    assert datapath.parse(f"{text},7") == (action, Other("7"))


def test_an_unknown_translation_is_refused() -> None:
    """Rather than walked past."""
    with pytest.raises(WalkError, match=r"nat\(src=\[::1\]\)"):
        datapath.parse("ct(commit,nat(src=[::1]))")


addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
ports = st.integers(0, 65535)


@given(addresses, addresses, st.sampled_from([*Protocol, None]), ports, ports, st.integers(1, 255))
def test_a_packets_text_names_every_field(
    source: IPv4Address, destination: IPv4Address, protocol: Protocol | None, sport: int, dport: int, ttl: int
) -> None:
    """What the text says is what Open vSwitch prints back, in its words."""
    sent = Packet(VIRTUAL, VIRTUAL, source, destination, protocol, sport & 0xFF, dport & 0xFF, ttl)
    seen = Seen(sent, 102, {0: 3, 7: 9}, Tracked(frozenset({"trk", "est"}), 1, 0x13), Tunnel(source, destination), 5)
    name = packet.protocol_word(protocol)
    echoed = seen.text().replace(f"{name}_src=", "tp_src=").replace(f"{name}_dst=", "tp_dst=")
    assert packet.parse(echoed) == seen


def test_an_answer_has_its_ends_exchanged() -> None:
    """Ports too; an echo request's answer is an echo reply."""
    asked = Packet("01", "02", CLIENT, SERVER, Protocol.TCP, 40000, 80, 63, "syn")
    back = Packet("03", "04", SERVER, CLIENT, Protocol.TCP, 80, 40000, 64, "syn|ack")
    assert asked.answer("03", "04", "syn|ack") == back
    echo = Packet("01", "02", CLIENT, SERVER, None, packet.ECHO_REQUEST, 0)
    assert echo.answer("03", "04", "syn|ack") == Packet("03", "04", SERVER, CLIENT, None, packet.ECHO_REPLY, 0)
