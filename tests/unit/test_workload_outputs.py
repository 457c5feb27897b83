"""What tools print, as recorded from the real programs of Debian 12 on a running cluster, and what is read from it."""

import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from agents.watching.conntrack import parse_ct_stats, parse_kernel_entries
from agents.watching.linkstats import LinkCounters, QueueCounters, parse_links, parse_queues
from agents.watching.ovs import parse_datapath, parse_messages, parse_rules
from agents.watching.processes import Usage, parse_stat, services_file
from experiments.measure.iperf import parse_iperf
from experiments.measure.iperf_udp import parse_iperf_udp
from experiments.workloads.dns import Resolver, parse_resolver
from experiments.workloads.fping import parse_fping
from experiments.workloads.http import parse_wrk
from experiments.workloads.sockperf import parse_sockperf
from kubinet.errors import KubinetError

OUTPUTS = Path(__file__).parent / "outputs"


def recorded(name: str) -> str:
    return (OUTPUTS / name).read_text()


def test_fping_gives_each_reply_with_its_time() -> None:
    """Three rounds to two targets that answer and one that does not give six replies in the order of arrival."""
    replies = parse_fping(recorded("fping.txt"))
    assert [(str(one.address), one.sequence, one.rtt_ms) for one in replies] == [
        ("172.18.0.2", 0, 1.07),
        ("10.244.1.3", 0, 1.12),
        ("172.18.0.2", 1, 5.70),
        ("10.244.1.3", 1, 3.45),
        ("172.18.0.2", 2, 0.826),
        ("10.244.1.3", 2, 0.684),
    ]
    assert replies[0].time_s == 1795660774.07801
    assert replies[0].address == IPv4Address("172.18.0.2")


def test_wrk_gives_rate_and_latencies() -> None:
    """wrk's units become milliseconds and bytes; a run without failures has none."""
    run = parse_wrk(recorded("wrk.txt"))
    assert (run.requests, run.per_second, run.errors, run.other_status) == (5032, 5020.03, 0, 0)
    assert run.read_bytes == pytest.approx(393.12 * 1024)
    assert dict(run.latency_ms) == pytest.approx(
        {"mean": 1.01, "max": 14.25, "p50": 0.659, "p75": 0.97, "p90": 1.85, "p99": 6.27}
    )


def test_wrk_counts_failures() -> None:
    """Socket errors and answers that are no success are counted."""
    lines = recorded("wrk.txt").replace(
        "Requests/sec",
        "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\nRequests/sec",
    )
    run = parse_wrk(lines)
    assert (run.errors, run.other_status) == (10, 5)


def test_wrk_without_a_summary_is_an_error() -> None:
    """What wrk says instead is repeated."""
    with pytest.raises(KubinetError, match="wrk: no summary in its output; it said: unable to connect"):
        parse_wrk("unable to connect to 10.244.1.3:8081 Connection refused")


def test_sockperf_gives_each_message() -> None:
    """The full log's rows are latencies in microseconds; the summary says what was dropped."""
    run = parse_sockperf(recorded("sockperf-udp.txt"))
    assert (run.dropped, run.duplicated) == (0, 0)
    assert run.latencies_us[-1] == (2.970965519, 88.767)
    assert len(run.latencies_us) == 15


def test_sockperf_that_cannot_connect_is_an_error() -> None:
    """Its own words are repeated."""
    with pytest.raises(KubinetError, match=r"sockperf: no message was answered; it said: ERROR: Can`t connect socket"):
        parse_sockperf("sockperf: ERROR: Can`t connect socket (errno=111 Connection refused)\n")


def test_iperf_udp_gives_what_arrived() -> None:
    """Two streams of 20 Mbit/s: 4996 datagrams of 1000 bytes arrived in the receiver's 0.999517 s."""
    run = parse_iperf_udp(recorded("iperf3-udp.json"))
    assert (run.packets, run.lost, run.payload_bytes) == (4996, 0, 1000)
    assert run.received_mbit_per_s == pytest.approx(4996 * 8000 / 0.999517 / 1e6)
    assert run.sent_mbit_per_s == pytest.approx(39.964, abs=0.001)
    assert run.jitter_ms == pytest.approx(0.0436949569821482)


def test_iperf_udp_does_not_count_lost_datagrams_as_received() -> None:
    """Goodput falls with the lost datagrams, although iperf3 3.12 counts their bytes."""
    text = recorded("iperf3-udp.json").replace('"lost_packets":\t0', '"lost_packets":\t996')
    assert parse_iperf_udp(text).received_mbit_per_s == pytest.approx(4000 * 8000 / 0.999517 / 1e6)


def test_iperf_udp_of_which_nothing_arrived() -> None:
    """All are lost, although iperf3 3.12 then says that none was."""
    document = json.loads(recorded("iperf3-udp.json"))
    document["end"]["sum_received"] |= {"packets": 0, "bytes": 0}
    run = parse_iperf_udp(json.dumps(document))
    assert (run.packets, run.lost, run.received_mbit_per_s) == (4996, 4996, 0.0)


def test_iperf_in_reverse_gives_what_the_client_received() -> None:
    """With --reverse the receiver's goodput is still the figure to report."""
    assert parse_iperf(recorded("iperf3-tcp-reverse.json")).received_mbit_per_s == pytest.approx(95.4068, abs=0.0001)


def test_ovs_lookups_and_flows() -> None:
    """dpctl/show has hits, misses, losses and the number of datapath flows."""
    assert parse_datapath(recorded("ovs-dpctl-show.txt"), recorded("ovs-coverage-show.txt")) == {
        "datapath flows": 11,
        "hits": 365817,
        "misses": 441,
        "upcalls lost": 0,
    }


def test_ovs_without_a_datapath_is_an_error() -> None:
    """The error says what Open vSwitch said."""
    with pytest.raises(KubinetError, match="dpctl/show: no line 'lookups:' or 'flows:'; it said: 'no datapaths exist'"):
        parse_datapath("no datapaths exist", "")


def test_ovs_rules_and_messages() -> None:
    """memory/show has the OpenFlow rules, coverage/show the OpenFlow messages."""
    assert parse_rules(recorded("ovs-memory-show.txt")) == {"OpenFlow rules": 175}
    assert parse_messages(recorded("ovs-coverage-show.txt")) == {
        "OpenFlow messages sent": 1209,
        "OpenFlow messages received": 1447,
    }
    assert parse_messages("101 events never hit") == {"OpenFlow messages sent": 0, "OpenFlow messages received": 0}


def test_conntrack_entries() -> None:
    """Open vSwitch counts by protocol; the kernel's count is hexadecimal."""
    assert parse_ct_stats(recorded("ovs-ct-stats-show.txt")) == {"Total": 41, "TCP": 41}
    assert parse_kernel_entries(recorded("nf_conntrack.txt")) == 0
    assert parse_kernel_entries("entries  clashres\n0000001f  00000000\n0000001f  00000000\n") == 31
    with pytest.raises(KubinetError, match="no line 'Total:'"):
        parse_ct_stats("")


def test_link_counters_are_those_of_ip() -> None:
    """The dump of a node's interfaces has the numbers that `ip -s link` showed at the same time."""
    links = parse_links(bytes.fromhex(recorded("rtnetlink-links.hex")))
    assert links["n1-eth0"] == LinkCounters(2, 69897, 58298, 68009908, 19300961, 0, 0)
    assert {"lo", "gw0", "br-int", "br-phy"} <= links.keys()


def test_queue_counters_are_those_of_tc() -> None:
    """The dump of a node's queueing disciplines has the token bucket of its link."""
    queues = parse_queues(bytes.fromhex(recorded("rtnetlink-qdiscs.hex")))
    assert queues[2] == QueueCounters("tbf", 0, 0, 0)


def test_process_times_and_memory() -> None:
    """Names with spaces and brackets do not shift the fields."""
    line = "1 (a) b) S 7 0 0 0 -1 4194560 4782 5457 0 1 7 3 14 6 20 0 1 0 2568809 21266432 3969 18446744073709551615"
    assert parse_stat(line) == Usage(parent=7, ticks=10, pages=3969)


def test_the_services_file_is_found_by_the_first_process() -> None:
    """Its command line names the cluster's state folder."""
    assert services_file(b"python\0-m\0topologies.supervisor\0/state/c\x005\0") == Path("/state/c/services.json")


def test_resolver_settings() -> None:
    """The last search list counts; ndots is an option."""
    text = (
        "search a.\nsearch default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions edns0 ndots:5\n"
    )
    assert parse_resolver(text) == Resolver(("10.96.0.10",), ("default.svc.cluster.local", "svc.cluster.local"), 5)
    assert parse_resolver("") == Resolver((), (), 1)
