"""The benchmark's pure parts: memory of process trees, the prober's packets, the page."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.bench.__main__ import main
from experiments.bench.kubinet_bringup import BringUp
from experiments.bench.memory import Memory, descendants, parse_parent, parse_smaps_rollup
from experiments.bench.prober import checksum, echo_request, reply_source
from experiments.bench.report import Result, Scale, markdown

SMAPS_ROLLUP = """\
55d0c8a6b000-7ffd0f5f3000 ---p 00000000 00:00 0                          [rollup]
Rss:               10240 kB
Pss:                2560 kB
Pss_Anon:           1000 kB
Swap:                  0 kB
"""


def bring_up(answer_s: float) -> BringUp:
    return BringUp(
        nodes=3,
        pods=15,
        phases_s={"underlay": 0.5, "ready": answer_s - 1},
        cluster_ready_s=answer_s - 1,
        pods_answer_s=answer_s,
        pod_start_s=(0.5,) * 15,
        single_pod_s=(0.1, 0.2, 0.3),
        flows_per_node=120,
        ovs_per_node=Memory(30.0, 20.0),
        sandbox=Memory(400.0, 200.0),
        per_pod=Memory(1.0, 0.5),
        kernel_per_pod_mib=0.25,
    )


def test_memory_is_the_first_rss_and_pss_in_mib() -> None:
    """10240 kB resident and 2560 kB proportional are 10 and 2.5 MiB; a process without the file has none."""
    assert parse_smaps_rollup(SMAPS_ROLLUP) == Memory(10.0, 2.5)
    assert parse_smaps_rollup("") == Memory(0.0, 0.0)


def test_memory_adds_subtracts_and_divides() -> None:
    """Sizes of processes add up and are shared among nodes."""
    assert (Memory(10, 4) + Memory(2, 2) - Memory(4, 2)) / 2 == Memory(4.0, 2.0)


def test_parent_is_read_behind_a_strange_command_name() -> None:
    """A command name may contain brackets and spaces."""
    assert parse_parent("42 (a) b (c) S 7 42 42 0") == 7


def test_descendants_are_the_whole_tree_below_a_process() -> None:
    """Children of children belong to the tree, siblings do not."""
    assert descendants(2, {2: 1, 3: 2, 4: 3, 5: 1}) == {2, 3, 4}


@given(st.integers(0, 0xFFFF), st.integers(0, 2**20))
def test_echo_request_has_a_correct_checksum(identifier: int, sequence: int) -> None:
    """Over a packet with a correct checksum the Internet checksum is zero (RFC 1071)."""
    packet = echo_request(identifier, sequence)
    assert checksum(packet) == 0
    assert packet[:2] == b"\x08\x00"
    assert struct.unpack("!HH", packet[4:8]) == (identifier, sequence & 0xFFFF)


def test_only_our_own_echo_replies_count() -> None:
    """A reply is known by type and identifier; its source is in the IPv4 header."""
    header = bytes([0x45]) + bytes(11) + bytes([10, 244, 1, 7]) + bytes(4)
    reply = struct.pack("!BBHHH", 0, 0, 0, 99, 1)
    assert reply_source(header + reply, 99) == "10.244.1.7"
    assert reply_source(header + reply, 98) is None
    assert reply_source(header + echo_request(99, 1), 99) is None


@given(st.binary(max_size=40))
def test_no_packet_breaks_the_prober(packet: bytes) -> None:
    """Cut packets are no replies."""
    assert reply_source(packet, 1) is None or len(packet) >= 28


def test_page_shows_medians_with_their_range() -> None:
    """Three bring-ups of 4, 5 and 9 s have the median 5 s; Python's start is taken off apart."""
    page = markdown(
        [
            Result(
                Scale(3, 5),
                (bring_up(4.0), bring_up(9.0), bring_up(5.0)),
                ({"pods_answer_s": 0.8, "per_node": {"pss_mib": 22.0}, "central": {"pss_mib": 26.0}},),
                without_dns=(4.5, 4.0, 3.5),
            ),
            Result(Scale(20, 50), (), ()),
        ],
        machine={"cpu_model": "CPU", "cpus": 2, "memory_mib": 1024, "kernel": "6.1"},
        versions={"programs": {"ovs-vswitchd": "3.1.0"}, "git": {"commit": "abc", "dirty": True}},
        python_start_s=0.5,
        netlink={"namespaces_per_s": 1300.0, "veth_pairs_per_s": 440.0},
    )
    assert (
        "| 3 nodes x 5 pods | 4.00 [3.00, 8.00] | 5.00 [4.00, 9.00] | 4.50 [3.50, 8.50] | 3.50 [3.00, 4.00] | 0.80 |"
        in page
    )
    assert "| 3 nodes x 5 pods | 9 | 200 | 300 |" in page
    assert "| 20 nodes x 50 pods |" + 5 * " \N{EN DASH} |" in page
    assert "commit abc (with changes)" in page
    assert "- 3 nodes x 5 pods: underlay 0.50 s, ready 4.00 s" in page


@pytest.mark.parametrize("scale", ["3", "3x", "axb", "1x5", "3x0"])
def test_wrong_scale_is_a_usage_error(scale: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A scale is at least 2 nodes with 1 pod each; anything else ends with status 2 before anything runs."""
    with pytest.raises(SystemExit) as ended:
        main(["--scale", scale])
    assert ended.value.code == 2
    assert repr(scale) in capsys.readouterr().err
