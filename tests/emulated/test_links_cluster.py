"""Links of a whole cluster: still as declared after Open vSwitch has taken the nodes' interfaces."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from kubinet.cluster import Cluster

pytestmark = [pytest.mark.emulated, pytest.mark.alone]


def _ask(cluster: Cluster, *words: str) -> Any:
    return json.loads(cluster.run([sys.executable, "-m", "topologies.underlay_client", *words]).text)


def _problems(cluster: Cluster, names: list[str], attempts: int = 4) -> list[str]:
    """What links that are measured in turn do wrong; again where the machine's other work disturbed it."""
    problems: list[str] = []
    for _ in range(attempts):
        found = _ask(cluster, "measure", *names)
        names = [one["name"] for one in found if one["problems"]]
        problems = [words for one in found for words in one["problems"]]
        if not problems:
            break
    return problems


def test_nodes_links_keep_their_rate_under_open_vswitch(start_cluster: Callable[..., Cluster]) -> None:
    """All links of a running star carry their 20 Mbit/s in both directions, the nodes' sending side included."""
    cluster = start_cluster("star", nodes=2, settings={"rate": "20mbit"})
    assert _problems(cluster, ["n1-s1", "n2-s1"]) == []


def test_both_ends_of_a_link_have_different_numbers(start_cluster: Callable[..., Cluster]) -> None:
    """Of ends with the same number a switch's port forwards up to a second late: the kernel takes its time."""
    cluster = start_cluster("star", nodes=3, settings={"network.dnsReplicas": 0})
    for link in _ask(cluster, "links"):
        assert link["wire"] == "veth"
        numbers = []
        for end in link["ends"]:
            words = ["nsenter", "-t", str(end["pid"]), "-n", "ip", "-j", "link", "show", "dev", end["interface"]]
            (shown,) = json.loads(cluster.run(words).text)
            numbers.append((shown["ifindex"], shown["link_index"]))
        assert numbers[0] == numbers[1][::-1]
        assert numbers[0][0] != numbers[0][1]


def test_a_changed_delay_is_what_nodes_see(start_cluster: Callable[..., Cluster]) -> None:
    """After `set n1-s1 delay=30ms` the nodes' links measure as declared, and a ping takes 2 x (30 + 2) ms."""
    cluster = start_cluster("star", nodes=2, settings={"rate": "20mbit", "delay": "2ms"})
    assert _ask(cluster, "set", "n1-s1", "delay=30ms")["delay"] == 0.03
    assert _problems(cluster, ["n1-s1", "n2-s1"]) == []
    target = str(cluster.node("n2").address)
    expected = pytest.approx(64, abs=2 + 0.05 * 64)
    for _ in range(4):
        words = cluster.node("n1").exec(["ping", "-c", "10", "-i", "0.2", "-q", target]).text
        minimum = float(words.rsplit("= ", 1)[1].split("/")[0])
        if minimum == expected:  # else the machine's other work disturbed all ten
            break
    assert minimum == expected
