"""A cluster's life: it ends without a trace however it ends, several live side by side, and its parts can die."""

import os
import signal
from collections.abc import Callable

import pytest
from pausepod import pause_pod
from traces import Host, Traces, kill_inside

from kubinet import launcher
from kubinet.cluster import Cluster
from kubinet.errors import KubinetError

pytestmark = pytest.mark.emulated


def test_killing_the_first_process_leaves_nothing_behind(start_cluster: Callable[..., Cluster]) -> None:
    """`kill -9` of the sandbox's first process takes every process, link, mount and file under /run with it."""
    before = Host.now()
    cluster = start_cluster("star", nodes=2)
    traces = Traces.of(cluster, before)
    assert len(traces.processes) > 10, "the services, the nodes and their switches"
    assert {"n1-eth0", "br-int", "gw0"} <= traces.links
    assert "kubinet" in traces.run_files
    handle = os.pidfd_open(cluster.info.pid)
    os.kill(cluster.info.pid, signal.SIGKILL)
    launcher._wait_readable(handle, 10)
    os.close(handle)
    # The kernel ends all processes of a pid namespace before its first process can be waited for.
    assert traces.left() == []
    assert not cluster.info.alive


def test_down_leaves_nothing_behind(start_cluster: Callable[..., Cluster]) -> None:
    """`down` ends all processes and removes the cluster's state folder."""
    before = Host.now()
    cluster = start_cluster("star", nodes=2)
    traces = Traces.of(cluster, before)
    assert f"process {cluster.info.pid}" in traces.left(), "a cluster that runs is seen"
    cluster.stop()
    assert traces.left() == []
    assert not traces.state_dir.exists()


def test_two_clusters_live_side_by_side(start_cluster: Callable[..., Cluster]) -> None:
    """Clusters of different names share nothing, not even addresses' meaning."""
    first, second = start_cluster("star", nodes=2, name="one"), start_cluster("star", nodes=2, name="two")
    assert [info.name for info in launcher.list_clusters() if info.alive] == ["one", "two"]
    first.node("n1").exec(["ping", "-c", "1", "-W", "20", str(first.node("n2").address)])
    assert first.node("n1").address == second.node("n1").address
    second.stop()
    first.node("n1").exec(["ping", "-c", "1", "-W", "20", str(first.node("n2").address)])


def test_a_second_up_of_the_same_name_is_refused_and_the_first_runs_on(start_cluster: Callable[..., Cluster]) -> None:
    """The error names the cluster and how to end it."""
    cluster = start_cluster("single", name="mine")
    with pytest.raises(KubinetError, match="cluster 'mine' is already running; `kubinet down --name mine` ends it"):
        start_cluster("single", name="mine")
    assert cluster.client.list("Node")["items"][0]["metadata"]["name"] == "n1"


@pytest.mark.logs_trouble("a service is killed on purpose")
@pytest.mark.parametrize("service", ["api", "controller", "agents"])
def test_a_killed_service_comes_back_and_pods_keep_talking(start_cluster: Callable[..., Cluster], service: str) -> None:
    """Packets flow while a service is dead; it is restarted and new pods start as before."""
    cluster = start_cluster("star", nodes=2)
    for name, node in (("a", "n1"), ("b", "n2")):
        cluster.client.create(pause_pod(name, node))
        cluster.wait("Pod", name, "Ready", namespace="default")
    target = str(cluster.pod("b").address)
    ping = cluster.pod("a").exec(["sh", "-c", f"ping -i 0.05 -c 100 -W 20 -q {target} >/tmp/ping 2>&1 & echo started"])
    assert ping.text == "started\n"
    kill_inside(cluster, int(str(cluster.services()[service]["pid"])))

    cluster._client = None  # the old connection died with the API
    cluster.wait_until("Node", "n1", lambda node: node is not None, timeout=30)
    cluster.client.create(pause_pod("c", "n1"))
    cluster.wait("Pod", "c", "Ready", namespace="default", timeout=60)
    cluster.pod("c").exec(["ping", "-c", "1", "-W", "20", target])
    restarted = cluster.services()[service]
    assert restarted["restarts"] == 1
    wait = "for i in $(seq 100); do grep -q received /tmp/ping && break; sleep 0.1; done; cat /tmp/ping"
    assert "100 received" in cluster.pod("a").exec(["sh", "-c", wait]).text
