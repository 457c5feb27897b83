"""The verdict proves itself on a cluster: what is changed behind the declaration's back is found."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from experiments.records import Assessment, Verdict
from experiments.validity.underlay import link_ends
from experiments.validity.watch import RunWatch
from kubinet.cluster import Cluster

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

SPRAY = """
import socket, sys, time
target, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setblocking(False)
while time.monotonic() < end:
    try:
        sender.sendto(bytes(int(sys.argv[3])), (target, 9))
    except OSError:
        pass
"""
"""Datagrams as fast as possible to an address: seconds, payload bytes."""

CONSOLE = """
import pathlib, socket, sys
path = next(pathlib.Path("/run").glob(f"**/wires/{sys.argv[1]}/wirefilter"))
with socket.socket(socket.AF_UNIX) as console:
    console.connect(str(path))
    console.settimeout(30)
    for order in sys.argv[2:]:
        console.sendall(order.encode() + b"\\n")
        while b"1000 Success" not in console.recv(4096): pass
"""
"""Gives orders to a userspace wire (its number) on its own console."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes at one switch, 20 Mbit/s and 2 ms each."""
    settings = {"rate": "20mbit", "delay": "2ms", "network.dnsReplicas": 0}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with Cluster("star", nodes=2, settings=settings) as running:
            yield running


def _spray(cluster: Cluster, seconds: float, size: int) -> None:
    target = str(cluster.node("n2").address)
    cluster.node("n1").exec([sys.executable, "-I", "-c", SPRAY, target, str(seconds), str(size)])


def _of_network(found: Assessment) -> list[str]:
    """Reasons that are about links, nodes and controller; the machine has other work."""
    return [reason for reason in found.reasons if reason.split()[0] in ("link", "node", "the") and "CPU" not in reason]


def _uplink(cluster: Cluster) -> str:
    """The interface of node n1 on its link."""
    return next(end.interface for end in link_ends(cluster) if end.key == "n1-s1 n1")


def _shape(cluster: Cluster, rate: str, limit: int) -> None:
    bucket = ["tbf", "rate", rate, "burst", "3028", "limit", str(limit)]
    cluster.node("n1").exec(["tc", "qdisc", "replace", "dev", _uplink(cluster), "root", "handle", "1:", *bucket])


def test_an_honest_run_has_no_reason_against_its_network(cluster: Cluster) -> None:
    """A link that is kept full for two seconds and drops what its queue cannot hold is as declared."""
    for _ in range(4):
        with RunWatch(cluster) as watch:
            _spray(cluster, 2.0, 1400)
        if not _of_network(watch.assessment):
            break
    assert _of_network(watch.assessment) == []
    during = [check for check in watch.links if check.moment == "during" and check.direction == "from n1 to s1"]
    assert [(check.name, check.quantity, check.within_tolerance) for check in during] == [("n1-s1", "loss", True)]
    assert {check.moment for check in watch.links} == {"before", "during", "after"}
    assert len(watch.seconds) >= 2


def test_counters_are_what_tc_says(cluster: Cluster) -> None:
    """Rate, limit, bytes and drops of a shaped interface are those of `tc -s -j qdisc show`."""
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        _spray(cluster, 0.5, 1400)
    text = cluster.node("n1").exec(["tc", "-s", "-j", "qdisc", "show", "dev", _uplink(cluster), "root"]).text
    (said,) = json.loads(text)
    seen = watch.samples[-1].ends["n1-s1 n1"].queue
    assert seen.kind == said["kind"] == "tbf"
    assert seen.rate == said["options"]["rate"] * 8 == 20_000_000
    assert seen.sent_bytes <= said["bytes"] <= seen.sent_bytes + seen.backlog + 20_000
    assert seen.drops <= said["drops"]
    assert seen.sent_bytes > 10_000


@pytest.fixture
def _restored(cluster: Cluster) -> Iterator[None]:
    yield
    limit = 3028 + 100 * 1514
    _shape(cluster, "20mbit", limit)


@pytest.mark.usefixtures("_restored")
def test_a_rate_changed_behind_the_declaration_is_invalid(cluster: Cluster) -> None:
    """A shaper that is set to 40 Mbit/s in the middle of a run is not the declared 20."""
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        _shape(cluster, "40mbit", 3028 + 100 * 1514)
        _spray(cluster, 1.0, 1400)
    assert watch.assessment.verdict is Verdict.INVALID
    assert "link n1-s1 from n1 to s1: shaped to 40 Mbit/s, 20 Mbit/s declared" in watch.assessment.reasons


@pytest.mark.usefixtures("_restored")
def test_a_queue_shorter_than_declared_is_suspect(cluster: Cluster) -> None:
    """A queue of 20,000 bytes instead of 100 packets is named; a single burst that it drops has no excuse."""
    with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
        _shape(cluster, "20mbit", 20_000)
        _spray(cluster, 0.03, 1400)
        time.sleep(0.5)
    found = watch.assessment.reasons
    assert "link n1-s1 from n1 to s1: its queue holds 20000 bytes, 154428 bytes declared" in found
    assert any("although its queue of 154428 bytes held" in words for words in found)


@pytest.mark.usefixtures("_restored")
def test_a_rate_that_was_wrong_from_the_start_is_measured(cluster: Cluster) -> None:
    """The link is loaded before the run: 40 Mbit/s arrive where 20 are declared."""
    _shape(cluster, "40mbit", 3028 + 100 * 1514)
    with RunWatch(cluster, rated_links=1, measured_links=0) as watch:
        pass
    rates = [check for check in watch.links if check.quantity == "rate" and check.direction == "from n1 to s1"]
    found = [(check.declared, check.within_tolerance, check.moment) for check in rates]
    assert found == [(20.0, False, "before"), (20.0, False, "after")]
    assert [check.measured for check in rates] == [pytest.approx(40, rel=0.2)] * 2
    assert watch.assessment.verdict is Verdict.INVALID


def test_a_delay_changed_behind_the_declaration_is_invalid(cluster: Cluster) -> None:
    """A wire that is set to 30 ms during the run is found when the links are measured again: 2 ms are declared."""
    link = next(one for one in _links(cluster) if one["name"] == "n1-s1")
    _wire(cluster, link, delay=30)
    try:
        with RunWatch(cluster, rated_links=0, measured_links=1) as watch:
            pass
    finally:
        _wire(cluster, link)
    assert watch.assessment.verdict is Verdict.INVALID
    delays = [check.measured for check in watch.links if (check.moment, check.quantity) == ("after", "delay")]
    assert all(delay is not None and delay > 25 for delay in delays)
    reasons = [words for words in watch.assessment.reasons if words.startswith("link n1-s1 from n1 to s1: delay ")]
    assert any(words.endswith(" ms measured after the run, 2 ms declared") for words in reasons)


def test_a_loss_behind_the_declaration_is_measured(cluster: Cluster) -> None:
    """A wire that loses a fifth of its frames from the middle of the run on is found when it is over."""
    link = next(one for one in _links(cluster) if one["name"] == "n1-s1")
    try:
        with RunWatch(cluster, rated_links=0, measured_links=1) as watch:
            _wire(cluster, link, loss=20)
    finally:
        _wire(cluster, link)
    assert watch.assessment.verdict is not Verdict.VALID
    losses = {
        check.moment: check for check in watch.links if check.quantity == "loss" and "from n1 " in check.direction
    }
    assert losses["before"].measured == 0
    assert not losses["after"].within_tolerance
    assert [words for words in watch.assessment.reasons if words.startswith("link n1-s1") and ": loss " in words] != []


def test_what_the_timeline_changes_is_no_reason_against_the_run(cluster: Cluster) -> None:
    """A link that is excused is neither measured again nor judged by its counters."""
    with RunWatch(cluster, rated_links=0, measured_links=1) as watch:
        watch.excuse("link n1-s1")
        cluster.run([sys.executable, "-m", "topologies.underlay_client", "set", "n1-s1", "rate=5mbit", "delay=9ms"])
        _spray(cluster, 0.5, 1400)
    cluster.run([sys.executable, "-m", "topologies.underlay_client", "set", "n1-s1", "rate=20mbit", "delay=2ms"])
    reasons = [words for words in watch.assessment.reasons if words.startswith("link n1-s1")]
    assert [words for words in reasons if "before the run" not in words] == []
    assert [check.name for check in watch.links if check.moment == "after"] == []


def _links(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        cluster.run([sys.executable, "-m", "topologies.underlay_client", "links"]).text
    )
    return found


def _wire(cluster: Cluster, link: dict[str, Any], *, delay: int = 2, loss: int = 0) -> None:
    """Set a wire's delay (ms) and loss (percent) behind the underlay service's back; without values as declared."""
    if link["wire"] == "wirefilter":
        orders = [f"delay {delay}", f"loss {loss}"]
        cluster.run([sys.executable, "-I", "-c", CONSOLE, str(link["number"]), *orders])
        return
    for side in ("a", "b"):
        netem = ["netem", "limit", "100000", "delay", f"{delay}ms", "loss", f"{loss}%"]
        cluster.run(["tc", "qdisc", "replace", "dev", f"w{link['number']}{side}", "root", *netem])
