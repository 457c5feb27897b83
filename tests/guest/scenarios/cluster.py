"""Runs in the guest: clusters on the kernel datapath, one after the other with each overlay; prints JSON.

In each, two pods ping each other while the underlay is captured, and one of them talks to the host outside.
"""

import json
import subprocess
import sys
from typing import Any

from kernel_cluster import datapath, kernel_cluster, seen_outside

from kubinet.cluster import Cluster

FILTERS = {"vxlan": "udp dst port 4789", "geneve": "udp dst port 6081", "direct": "icmp"}


def look(cluster: Cluster, overlay: str) -> dict[str, Any]:
    node, target = cluster.facts.nodes[0], cluster.pod("b").address
    argv = ["tcpdump", "-i", node.interface, "-nn", "-c", "2", "--immediate-mode", FILTERS[overlay]]
    with cluster.node(node.name).popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as capture:
        assert capture.stderr is not None
        while b"listening on" not in (line := capture.stderr.readline()):
            if not line:
                raise RuntimeError("tcpdump ended early")
        pinged = cluster.pod("a").exec(["ping", "-n", "-c", "4", "-i", "0.2", str(target)], check=False).text
        captured = capture.communicate(timeout=60)[0].decode()
    flows = datapath(cluster, node.name, "dpctl/dump-flows")
    return {
        "ready_seconds": dict(cluster.timings),
        "ping": pinged,
        "capture": captured,
        "inner": f"IP {cluster.pod('a').address} > {target}: ICMP echo request",
        "outer": f"IP {node.underlay.ip}.",
        "flows": flows,
        "seen_outside": seen_outside(cluster, "a"),
        "node_address": str(node.underlay.ip),
        "pod_address": str(cluster.pod("a").address),
        "outside_address": str(cluster.outside().address),
        "conntrack": datapath(cluster, node.name, "dpctl/dump-conntrack"),
    }


def main() -> None:
    found = {}
    for overlay in sys.argv[1:]:
        with kernel_cluster("leaf-spine", {"a": "n1", "b": "n2"}, overlay=overlay) as cluster:
            found[overlay] = look(cluster, overlay)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
