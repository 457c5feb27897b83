"""Denied packets: read from what bridges send, put together, named, written, read again; and when they are logged."""

import threading
import time
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from policyclusters import cluster, label, netpol, pod

from controller import policylog
from controller.compile import Compiler
from controller.flow_view import parse_dump
from controller.openflow.decode import PacketIn
from controller.pipeline import DENIED_METER, POLICY_DENY, Priority
from controller.policy.denied import Denied, denied
from controller.policy.meanings import Meaning
from controller.policylog import Denial, Lease, Names, PolicyLog, Second, denial
from controller.program import differences
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.cli.policylogging import LogReader, recorded, row
from kubinet.deniedlog import FILE, OLDER_FILE, UNTIL, End, Entry, lease, until_of, until_text
from kubinet.policies import Direction

A, B = IPv4Address("10.244.1.2"), IPv4Address("10.244.2.3")
DEADLINE = 20.0


def frame(protocol: int, payload: bytes, *, options: int = 0, fragment: int = 0) -> bytes:
    """An Ethernet frame from x/a to x/b."""
    size = 20 + options
    header = bytes([0x40 | size // 4, 0]) + bytes(4) + fragment.to_bytes(2, "big") + bytes([64, protocol, 0, 0])
    return bytes(12) + b"\x08\x00" + header + A.packed + B.packed + bytes(options) + payload


PORTS = (40000).to_bytes(2, "big") + (8080).to_bytes(2, "big")


def packet(data: bytes, egress: int = 0, ingress: int = 0) -> PacketIn:
    registers = {number: value for number, value in ((5, egress), (6, ingress)) if value}
    return PacketIn(1, 100, registers, data, POLICY_DENY.number)


@pytest.mark.parametrize(
    ("data", "protocol", "ports"),
    [
        (frame(6, PORTS + bytes(16)), 6, (40000, 8080)),
        (frame(17, PORTS + bytes(4), options=8), 17, (40000, 8080)),
        (frame(132, PORTS + bytes(8)), 132, (40000, 8080)),
        (frame(1, b"\x08\x00" + bytes(6)), 1, (0, 0)),
        (frame(6, PORTS, fragment=0x2000), 6, (40000, 8080)),
        (frame(6, PORTS, fragment=0x2005), 6, (0, 0)),
        (frame(17, b""), 17, (0, 0)),
    ],
)
def test_a_packets_five_tuple_is_read(data: bytes, protocol: int, ports: tuple[int, int]) -> None:
    """Of TCP, UDP and SCTP with ports, behind IP options; later fragments and ICMP have none."""
    found = denial("n2", packet(data, ingress=7))
    assert found == Denial("n2", Direction.INGRESS, 7, protocol, A, ports[0], B, ports[1])


def test_what_ingress_left_decides_last() -> None:
    """A packet that egress has allowed still has the number of that rule."""
    both, one = (denial("n1", packet(frame(6, PORTS), 5, ingress)) for ingress in (9, 0))
    assert both is not None
    assert one is not None
    assert (both.direction, both.number) == (Direction.INGRESS, 9)
    assert (one.direction, one.number) == (Direction.EGRESS, 5)


@pytest.mark.parametrize("data", [b"", bytes(14), frame(6, PORTS)[:30], bytes(12) + b"\x86\xdd" + bytes(40)])
def test_what_is_no_ipv4_packet_is_left_out(data: bytes) -> None:
    """Short frames, and other protocols than IPv4."""
    assert denial("n1", packet(data)) is None


def seen(number: int = 1, port: int = 8080) -> Denial:
    return Denial("n2", Direction.INGRESS, number, 6, A, 40000, B, port)


NAMES = Names({A: "x/a"}, {B: "n2"}, {1: Meaning(Direction.INGRESS, ("NetworkPolicy/x/p",))})


def test_packets_of_a_connection_within_a_second_are_one_line() -> None:
    """A second after the first of them; what comes then begins anew."""
    second = Second()
    assert second.wait(10.0) is None
    for now in (10.0, 10.2, 10.9):
        second.add(seen(), now, NAMES)
    second.add(seen(port=9090), 10.5, NAMES)
    assert second.wait(10.9) == pytest.approx(0.1)
    assert second.due(10.95, NAMES) == []
    (told,) = second.due(11.0, NAMES)
    assert (told.time, told.destination.port, told.count) == ("1970-01-01T00:00:10.000000Z", 8080, 3)
    second.add(seen(), 11.1, NAMES)
    assert [(one.destination.port, one.count) for one in second.due(13.0, NAMES)] == [(9090, 1), (8080, 1)]


def test_the_log_has_a_limit_of_connections_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are known are counted on."""
    monkeypatch.setattr(policylog, "MOST_FLOWS", 1)
    second = Second()
    for denied_packet in (seen(), seen(port=1), seen()):
        second.add(denied_packet, 1.0, NAMES)
    assert [(one.destination.port, one.count) for one in second.due(9.0, NAMES)] == [(8080, 2)]


def test_a_line_names_pods_nodes_policies_and_the_rule() -> None:
    """By the names of the time when the packet came; a number that had none yet has the present one."""
    later = Names({}, {}, {1: Meaning(Direction.INGRESS, ("NetworkPolicy/y/q",), (("NetworkPolicy/y/q", 2),))})
    second = Second()
    second.add(seen(), 0.0, NAMES)
    second.add(seen(port=1), 0.0, Names())
    second.add(seen(number=9, port=2), 0.0, Names())
    known, renamed, unknown = second.due(2.0, later)
    assert known == Entry(
        "1970-01-01T00:00:00.000000Z", "n2", "Ingress", "TCP", End(str(A), 40000, "x/a"), End(str(B), 8080, "", "n2"),
        ("NetworkPolicy/x/p",), "isolation", 1,
    )  # fmt: skip
    assert (renamed.policies, renamed.rule, str(renamed.source)) == (("NetworkPolicy/y/q",), "rule 2", f"{A}:40000")
    assert (unknown.policies, unknown.rule) == ((), "number 0x9")
    assert row(known)[1:] == (
        "n2", "Ingress", "x/a:40000", "node/n2:8080", "TCP", "NetworkPolicy/x/p", "isolation", "1"
    )  # fmt: skip


def test_lines_are_written_and_read_again(tmp_path: Path) -> None:
    """A reader gets what is new and complete, also when the file was full and became the older one meanwhile."""
    log, entry = PolicyLog(tmp_path), NAMES.entry(seen(), 1.0, 2)
    log.write([entry])
    reader, whole = LogReader(tmp_path), LogReader(tmp_path, from_start=True)
    assert (reader.new(), whole.new()) == ([], [entry])
    with (tmp_path / FILE).open("a") as file:
        file.write(replace(entry, count=3).to_line()[:-5])
        file.flush()
        assert reader.new() == []
        file.write(replace(entry, count=3).to_line()[-5:])
    (tmp_path / FILE).rename(tmp_path / OLDER_FILE)
    log.write([replace(entry, count=4)])
    assert [one.count for one in reader.new()] == [3, 4]
    assert [one.count for one in recorded(tmp_path)] == [2, 3, 4]


def test_a_full_file_becomes_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the log has a largest size."""
    monkeypatch.setattr(policylog, "MAX_BYTES", 10)
    log, entry = PolicyLog(tmp_path), NAMES.entry(seen(), 1.0, 1)
    for count in (1, 2, 3):
        log.write([replace(entry, count=count)])
    assert [one.count for one in recorded(tmp_path)] == [2, 3]


def test_the_log_writes_on_its_own(tmp_path: Path) -> None:
    """A packet that came is a line a second later."""
    log = PolicyLog(tmp_path)
    log.name(NAMES)
    log.start()
    log.packet("n2", packet(frame(6, PORTS), ingress=1))
    log.packet("n2", packet(b"", ingress=1))
    end = time.monotonic() + DEADLINE
    while not recorded(tmp_path):
        assert time.monotonic() < end
        threading.Event().wait(0.05)
    (entry,) = recorded(tmp_path)
    assert (entry.policies, entry.count, str(entry.destination)) == (("NetworkPolicy/x/p",), 1, "node/n2:8080")


def topology(until: object) -> dict[str, object]:
    return {"metadata": {"name": "cluster", "annotations": {UNTIL: until}}}


def test_a_lease_ends_by_itself() -> None:
    """Packets are logged until its time, and somebody is told at that time."""
    ended = threading.Event()
    waiting = Lease(ended.set)
    assert waiting.runs(topology(until_text(time.time() + 0.05))) is True
    assert ended.wait(DEADLINE)
    assert waiting.runs(topology(until_text(time.time() - 0.01))) is False
    assert waiting.runs({"metadata": {}}) is False
    fresh = until_of(lease())
    assert 10 < fresh - time.time() < 16


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01T00:00:00Z", None, 7])
def test_an_annotation_that_is_no_time_logs_nothing(text: object) -> None:
    """Whoever wrote it."""
    assert until_of(topology(text)) == 0.0


def test_what_is_no_entry_is_refused() -> None:
    """A reader skips it."""
    for line in ("", "{", "{}", "[]", '{"source": {}}', "7"):
        with pytest.raises(ValueError, match=r"entry|Expecting"):
            Entry.from_line(line)


def test_logging_adds_flows_above_those_that_deny_and_nothing_else() -> None:
    """Four, the same on all nodes; without it there are none, and the others stay what they are."""
    state, compiler = cluster([netpol("p", label("pod", "a"))]), Compiler()
    before = compiler.compile(state)["n1"]
    after = compiler.compile(replace(state, log_denied=True))["n1"]
    assert not isinstance(before, Exception)
    assert not isinstance(after, Exception)
    changes = differences(before[INTEGRATION_BRIDGE], after[INTEGRATION_BRIDGE])
    assert changes.delete == ()
    plain = {flow.match: flow for flow in before[INTEGRATION_BRIDGE].flows() if flow.table == POLICY_DENY.number}
    assert len(changes.add) == 4
    for flow in changes.add:
        below = plain[flow.match]
        assert (flow.table, flow.priority) == (POLICY_DENY.number, below.priority + Priority.LOG)
        assert flow.actions[:-1] == below.actions
        assert str(flow.actions[-1]) == f"controller(max_len=128,userdata=05,meter_id={DENIED_METER.id})"
    again = compiler.compile(state)["n1"]
    assert not isinstance(again, Exception)
    assert {flow.to_text() for flow in again[INTEGRATION_BRIDGE].flows()} == {
        flow.to_text() for flow in before[INTEGRATION_BRIDGE].flows()
    }


def test_counters_are_those_of_the_flows_that_deny() -> None:
    """Summed over nodes and pods by what decided; a flow of a policy that is not known has its cookie's owner."""
    state = cluster([netpol("p", label("pod", "a"))], [pod("x", "a", 1, 2), pod("x", "b", 2, 3)])
    compiler = Compiler()
    compiler.compile(state)
    numbers = {meaning.direction: number for number, meaning in compiler.deciders().items()}
    line = " cookie={:#x}, table={}, n_packets={}, n_bytes={}, priority=100,ip,reg1={} "
    line += "actions=set_field:{:#x}->reg{},goto_table:88"
    ingress = [
        line.format(9 << 40, 74, packets, 100, port, numbers[Direction.INGRESS], 6)
        for packets, port in ((3, 1), (4, 2))
    ]
    egress = line.format(9 << 40, 44, 5, 50, 1, numbers[Direction.EGRESS], 5)
    other = line.format(9 << 40 | 7, 74, 1, 10, 1, 0x123, 6)
    passed = " cookie=0x0, table=74, n_packets=99, n_bytes=1, ip actions=set_field:0x1->reg6,goto_table:80"
    rows = {
        "n1": parse_dump("\n".join([ingress[0], egress, passed])),
        "n2": parse_dump("\n".join([ingress[1], other]), owners={7: "NetworkPolicy/x/new"}),
    }
    own = ("NetworkPolicy/x/p",)
    assert denied(rows, compiler.deciders()) == [
        Denied(own, Direction.INGRESS, "isolation", 7, 200, ("n1", "n2")),
        Denied(own, Direction.EGRESS, "isolation", 5, 50, ("n1",)),
        Denied(("NetworkPolicy/x/new",), Direction.INGRESS, "unknown", 1, 10, ("n2",)),
    ]
