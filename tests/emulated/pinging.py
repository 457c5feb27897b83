"""A pod that pings another one while a test changes something."""

from dataclasses import dataclass

from kubinet.cluster import Cluster

LEAST = 5
"""So many answers are awaited at the end, five seconds at most: what a test does may take less time than they."""


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping that runs in a pod."""

    cluster: Cluster
    pod: str
    pid: str

    def end(self, least: int = LEAST) -> str:
        """End it when `least` answers have come, or do not come; what it printed, its summary last."""
        enough = f"for i in $(seq 100); do test $(grep -c ttl= /tmp/ping) -ge {least} && break; sleep 0.05; done"
        # SIGINT makes ping print its summary; `tail` waits for its end.
        end = f"kill -INT {self.pid}; tail --pid={self.pid} -s 0.05 -f /dev/null"
        self.cluster.pod(self.pod).exec(["sh", "-c", f"{enough}; {end}"])
        return self.cluster.pod(self.pod).exec(["cat", "/tmp/ping"]).text


def start_ping(cluster: Cluster, pod: str, target: str, every_s: float) -> Ping:
    """Begin to ping `target` from a pod of the default namespace, a packet each `every_s` seconds."""
    command = f"ping -n -i {every_s:g} {target} >/tmp/ping 2>&1 & echo $!"
    return Ping(cluster, pod, cluster.pod(pod).exec(["sh", "-c", command]).text.strip())
