"""Runs in the guest: a cluster on the kernel datapath; two pods ping, the underlay is captured; prints JSON."""

import json
import subprocess
import sys

from kubinet.cluster import Cluster

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: default}
spec:
  nodeName: n1
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: default}
spec:
  nodeName: n2
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]
"""


def main() -> None:
    topology, overlay = sys.argv[1:]
    with Cluster(topology, nodes=2, datapath="system", settings={"network.overlay": overlay}) as cluster:
        cluster.apply(PODS)
        for name in ("a", "b"):
            cluster.wait("Pod", name, "Ready", namespace="default", timeout=120)
        node, target = cluster.facts.nodes[0], cluster.pod("b").address
        port = {"vxlan": 4789, "geneve": 6081}[overlay]
        argv = ["tcpdump", "-i", node.interface, "-nn", "-c", "2", "--immediate-mode", f"udp and dst port {port}"]
        with cluster.node(node.name).popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as capture:
            assert capture.stderr is not None
            while b"listening on" not in (line := capture.stderr.readline()):
                if not line:
                    raise RuntimeError("tcpdump ended early")
            pinged = cluster.pod("a").exec(["ping", "-n", "-c", "4", "-i", "0.2", str(target)], check=False).text
            captured = capture.communicate(timeout=60)[0].decode()
        switch = f"/run/kubinet/nodes/{node.name}"
        shown = cluster.run(["sh", "-c", f"ovs-appctl --target=$(echo {switch}/ovs-vswitchd.*.ctl) dpctl/show"]).text
        found = {
            "ready_seconds": dict(cluster.timings),
            "ping": pinged,
            "capture": captured,
            "inner": f"IP {cluster.pod('a').address} > {target}: ICMP echo request",
            "datapath": shown,
            "outer": f"IP {node.underlay.ip}.",
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
