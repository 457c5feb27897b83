"""The userspace datapath on AF_XDP sockets: a cluster works on it, and its links are still measured."""

import json
import sys
from collections.abc import Callable

import pytest
from pausepod import pause_pod

from kubinet.cluster import Cluster
from topologies.probes import af_xdp

pytestmark = pytest.mark.emulated


def _needs_af_xdp() -> None:
    try:
        af_xdp()
    except OSError as error:
        pytest.skip(f"AF_XDP needs real root and a kernel that has it: {error}")


def test_pods_talk_and_links_are_measured_with_af_xdp(start_cluster: Callable[..., Cluster]) -> None:
    """Pods reach each other over the overlay. Both directions of a node's link are measured, although an XDP program
    takes what arrives at the node before a packet socket could see it."""
    _needs_af_xdp()
    cluster = start_cluster("star", nodes=2, datapath="afxdp", settings={"rate": "", "network.dnsReplicas": 0})
    for name, node in (("a", "n1"), ("b", "n2")):
        cluster.client.create(pause_pod(name, node))
    for name in "ab":
        cluster.wait("Pod", name, "Ready", namespace="default")
    said = cluster.pod("a").exec(["ping", "-n", "-c", "5", "-i", "0.2", str(cluster.pod("b").address)]).text
    assert "5 received" in said
    for node in ("n1", "n2"):
        command = f"ovs-appctl -t /run/kubinet/nodes/{node}/ovs-vswitchd.*.ctl dpif/show"
        shown = cluster.run(["sh", "-c", command]).text
        assert "afxdp" in shown, shown
    answer = cluster.run([sys.executable, "-m", "topologies.underlay_client", "measure", "n1-s1", "n2-s1"]).text
    measured = {(link["name"], one["source"]): one for link in json.loads(answer) for one in link["directions"]}
    assert set(measured) == {("n1-s1", "n1"), ("n1-s1", "s1"), ("n2-s1", "n2"), ("n2-s1", "s1")}
    for way, one in measured.items():
        assert one["loss"] == 0, way
        assert 0 <= one["delay_median"] < 0.02, way
