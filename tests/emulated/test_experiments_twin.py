"""The underlay's twin beside a running cluster."""

import subprocess
from collections.abc import Callable

import pytest

from experiments.measure.iperf import iperf_server
from experiments.measure.ping import ping
from experiments.twin import twin
from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated


def test_a_twins_ends_answer_each_other_without_open_vswitch(start_cluster: Callable[..., Cluster]) -> None:
    """Only the loopback and the link's end are there; a server can listen; everything ends with the block."""
    cluster = start_cluster("dumbbell", nodes=2, settings={"rate": "100mbit"})
    with twin(cluster, "n1", "n2") as (source, target):
        run, _ = ping(source, target.address, count=20, interval_s=0.01)
        assert run.loss == 0
        devices = source.exec(["cat", "/proc/net/dev"]).stdout.splitlines()
        names = [line.partition(b":")[0].strip() for line in devices if b":" in line]
        assert names == [b"lo", b"n1-eth0"]
        with iperf_server(target):
            listening = target.exec(["ss", "-Hltn"]).stdout.decode()
            assert "*:5201" in listening
        pid = source.pid
    gone = subprocess.run(cluster.node("n1").command(["test", "-e", f"/proc/{pid}"]), check=False)
    assert gone.returncode == 1
