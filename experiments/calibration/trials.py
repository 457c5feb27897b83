"""The trials on whole clusters: a rate, packets per second, a number of nodes. Each says what was wrong, or nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Final

from experiments.measure.iperf import server_command, throughput
from experiments.records import Assessment, Verdict
from experiments.topology import network_of, underlay_of
from experiments.underlay_path import ETHERNET_HEADER, IPV4_TCP_HEADERS
from experiments.validity.watch import RunWatch
from kubinet.cluster import Cluster, PodHandle

SMALL_BYTES: Final = 64
"""UDP payload of the packets that are counted."""
_GOODPUT: Final = 0.95
_LOSS_PERCENT: Final = 0.5
_SENT: Final = 0.95
_PODS: Final = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: main, image: nicolaka/netshoot, command: {command}}}
"""


class PodPath:
    """Two pods on two nodes, an iperf3 server in the second, and links whose rate can be set."""

    def __init__(self, cluster: Cluster, seconds: int) -> None:
        """`seconds`: how long each trial sends."""
        self._cluster = cluster
        self._seconds = seconds
        self._client: PodHandle = cluster.pod("client")
        self._server: IPv4Address = cluster.pod("server").address
        underlay = underlay_of(cluster.topology)
        self._links = [link.name for link in underlay.path("n1", "n2").links]
        network = network_of(cluster.topology)
        self._payload = (network.pod_mtu - IPV4_TCP_HEADERS) / (network.underlay_mtu + ETHERNET_HEADER)
        """Share of a link's rate that is TCP payload."""

    def rate(self, mbit: float) -> str:
        """Fill links of this rate with TCP: the goodput that headers leave, and a valid verdict."""
        for name in self._links:
            argv = [sys.executable, "-m", "topologies.underlay_client", "set", name, f"rate={mbit:g}mbit"]
            self._cluster.run(argv)
        with self._watching() as watch:
            run, _ = throughput(self._client, self._server, seconds=self._seconds, warmup_s=1)
        wanted = mbit * self._payload
        if run.received_mbit_per_s < _GOODPUT * wanted:
            return f"{run.received_mbit_per_s:.0f} of {wanted:.0f} Mbit/s of TCP payload arrived"
        # The links were changed after the watch knew them: their counters are judged by the goodput above.
        return _words(watch.assessment)

    def packets(self, per_second: float) -> str:
        """Send small UDP packets at this rate: they leave at the rate, nearly all arrive, and the verdict is valid."""
        argv = ["iperf3", "-c", str(self._server), "-u", "-l", str(SMALL_BYTES), "-t", str(self._seconds), "-J"]
        argv += ["-b", str(round(per_second * SMALL_BYTES * 8)), "--connect-timeout", "5000"]
        with self._watching() as watch:
            said = json.loads(self._client.exec(argv, timeout=self._seconds + 60, check=False).stdout or b"{}")
        if "error" in said or "end" not in said:
            return f"iperf3: {said.get('error', 'it said nothing')}"
        total = said["end"]["sum"]
        sent = total["packets"] / self._seconds
        if sent < _SENT * per_second:
            return f"only {sent:.0f} packets/s could be sent"
        if total["lost_percent"] > _LOSS_PERCENT:
            return f"{total['lost_percent']:.1f} % of {per_second:.0f} packets/s were lost"
        return _words(watch.assessment)

    @contextmanager
    def _watching(self) -> Iterator[RunWatch]:
        with RunWatch(self._cluster, rated_links=0, measured_links=0) as watch:
            for name in self._links:
                watch.excuse(f"link {name}")
            yield watch


@contextmanager
def pod_path(seconds: int) -> Iterator[PodPath]:
    """A cluster of two nodes with the two pods, gone afterwards."""
    settings = {"rate": "1gbit", "network.dnsReplicas": 0}
    with Cluster("star", nodes=2, settings=settings) as cluster:
        cluster.apply(_PODS.format(name="client", node="n1", command=json.dumps(["sleep", "infinity"])))
        cluster.apply(_PODS.format(name="server", node="n2", command=json.dumps(server_command())))
        for name in ("client", "server"):
            cluster.wait("Pod", name)
        cluster.pod("server").wait_log("Server listening on")
        yield PodPath(cluster, seconds)


def nodes(count: int, seconds: float) -> str:
    """A cluster of so many nodes that pings from each node to the next, once ready: nothing lost, a valid verdict."""
    settings = {"rate": "100mbit", "network.dnsReplicas": 0}
    with Cluster("star", nodes=count, settings=settings) as cluster:
        hosts = [cluster.node(node.name) for node in cluster.facts.nodes]
        with RunWatch(cluster, rated_links=0, measured_links=0) as watch:
            pings = [
                one.popen(
                    ["ping", "-q", "-i", "0.2", "-w", str(round(seconds)), str(other.address)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
                for one, other in zip(hosts, [*hosts[1:], hosts[0]], strict=True)
            ]
            deadline = time.monotonic() + seconds + 30
            said = [ping.communicate(timeout=max(1.0, deadline - time.monotonic()))[0].decode() for ping in pings]
    lossy = sum(" 0% packet loss" not in words for words in said)
    if lossy:
        return f"{lossy} of {count} nodes lost pings"
    return _words(watch.assessment)


def _words(found: Assessment) -> str:
    return "" if found.verdict is Verdict.VALID else "; ".join(found.reasons)
