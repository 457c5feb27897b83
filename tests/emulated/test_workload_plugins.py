"""Workloads and measurements on a real cluster of two nodes; what `test_catalogue.py` does not run, or not look at."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from logtrouble import trouble_in_logs
from smallscene import SmallScene

from experiments.plugins import complete, measurements, workloads
from experiments.records import Value
from kubinet.cluster import Cluster
from kubinet.errors import KubinetError

pytestmark = pytest.mark.emulated

POD = """---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {app}}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, image: registry.k8s.io/e2e-test-images/agnhost:2.53, args: [netexec]}}]
"""
SERVICE = """---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {app}}}, ports: [{{port: {port}, targetPort: {target}, protocol: {protocol}}}]}}
"""
PODS = (("a", "a", "n1"), ("b", "b", "n2"), ("c", "c", "n2"), ("gone", "pair", "n1"), ("stays", "pair", "n2"))
SHUT = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shut}
spec: {podSelector: {matchLabels: {app: b}}}
"""
NEW_POD = """apiVersion: v1
kind: Pod
metadata: {name: fresh}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: registry.k8s.io/pause}]}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with Cluster("star", nodes=2, settings={"network.dnsReplicas": 1}) as running:
            running.apply("".join(POD.format(name=name, app=app, node=node) for name, app, node in PODS))
            running.apply(
                SERVICE.format(name="web", app="b", port=80, target=8080, protocol="TCP")
                + SERVICE.format(name="asked", app="b", port=70, target=7100, protocol="TCP")
                + SERVICE.format(name="pair", app="pair", port=72, target=7200, protocol="UDP")
            )
            for name, _, _ in PODS:
                running.wait("Pod", name)
            running.wait_realised()
            yield running
            assert list(trouble_in_logs(running.info.state_dir / "logs")) == []


@pytest.fixture
def scene(cluster: Cluster) -> SmallScene:
    return SmallScene(cluster)


def run(scene: SmallScene, kind: str, **given: Value) -> SmallScene:
    """Run a workload as an experiment does; `from_` is `from`."""
    settings = complete(workloads[kind], {name.rstrip("_"): value for name, value in given.items()})
    workloads[kind].check(settings)
    scene.started_s = time.time()
    workloads[kind].run(scene, settings)
    assert {one.metric for one in scene.readings} <= set(workloads[kind].metrics)
    assert all(one.unit == workloads[kind].metrics[one.metric] for one in scene.readings)
    return scene


def test_ping(scene: SmallScene) -> None:
    """Ten echoes after the warm-up are answered."""
    run(scene, "ping", from_="pod/a", to="pod/b", count=10)
    assert len(scene.values("rtt")) == 10
    assert scene.values("lost") == [0]


def test_ping_to_nobody_is_an_error_unless_it_is_expected(scene: SmallScene) -> None:
    """The error names both ends and the remedy; with `silence` all are lost."""
    settings: dict[str, Value] = {"to": "172.18.0.6", "count": 2, "warmup": 0, "wait_s": 0.2}
    with pytest.raises(KubinetError, match=r"pod/a: none of 2 pings to 172.18.0.6 \(172.18.0.6\) was answered"):
        run(scene, "ping", from_="pod/a", **settings)
    run(scene, "ping", from_="pod/a", silence=True, **settings)
    assert scene.values("lost") == [2]


def test_fping(scene: SmallScene) -> None:
    """Each target has its replies and losses."""
    run(scene, "fping", from_="pod/a", to="pod/b, pod/c, 172.18.0.6", count=3)
    lost = {one.target: one.value for one in scene.readings if one.metric == "lost"}
    assert lost == {"pod/b": 0, "pod/c": 0, "172.18.0.6": 3}


def test_iperf3_tcp_reverse(scene: SmallScene) -> None:
    """Two streams from the server over a link of 100 Mbit/s carry less than that."""
    run(scene, "iperf3", from_="pod/a", to="pod/b", seconds=1, warmup=0, streams=2, reverse=True)
    (throughput,) = scene.values("throughput")
    assert 1 < throughput < 100
    assert list(scene.kept) == ["iperf3-pod-a-pod-b.json"]


def test_iperf3_udp(scene: SmallScene) -> None:
    """What is sent arrives, or is counted as lost."""
    run(scene, "iperf3", from_="pod/a", to="pod/b", seconds=1, warmup=0, protocol="udp", rate="2mbit", length=1000)
    assert scene.values("throughput sent")[0] == pytest.approx(2, rel=0.2)
    assert scene.values("throughput")[0] <= scene.values("throughput sent")[0] * 1.2
    assert 0 <= scene.values("loss")[0] < 50


def test_iperf3_without_a_server_says_what_is_missing(scene: SmallScene) -> None:
    """The error names both ends, iperf3's words and the parameter."""
    message = r"pod/a to pod/b \(10.244.*:5201\): iperf3: .*Connection refused; .*\(parameter 'servers'\)"
    with pytest.raises(KubinetError, match=message):
        run(scene, "iperf3", from_="pod/a", to="pod/b", servers="none")


def test_request_response_through_a_service(scene: SmallScene) -> None:
    """A Service leads to the server that was started in its pod."""
    run(scene, "request-response", from_="pod/a", to="service/asked:70", servers="pod/b", seconds=0.3)
    assert len(scene.values("latency")) > 3
    assert scene.values("failed") == [0]


def test_request_response_at_a_rate_over_udp(scene: SmallScene) -> None:
    """An open loop with several sockets; losses are failures."""
    run(scene, "request-response", from_="outside/internet", to="node/n2", seconds=0.3, protocol="udp", rate=50.0)
    assert scene.values("latency")
    assert scene.values("requests per second")[0] < 150


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_connection_rate(scene: SmallScene, protocol: str) -> None:
    """Two targets in turn; only TCP has handshakes."""
    run(scene, "connection-rate", from_="pod/a", to="pod/b, pod/c", seconds=0.3, protocol=protocol)
    assert scene.values("connections per second")[0] > 3
    assert bool(scene.values("handshake")) == (protocol == "tcp")


def test_dns(scene: SmallScene) -> None:
    """A short name is found by the first domain of the search list; a full one of four dots by its fourth try."""
    run(scene, "dns", from_="pod/a", names="web, web.default.svc.cluster.local", count=4, parallel=2)
    tries = {one.target: one.value for one in scene.readings if one.metric == "queries per lookup"}
    assert tries == {"web": 1, "web.default.svc.cluster.local": 4}
    assert scene.values("failed") == [0]


def test_dns_straight(scene: SmallScene) -> None:
    """Without the search list the full name is one query."""
    run(scene, "dns", from_="pod/a", names="web.default.svc.cluster.local", count=2, straight=True)
    assert scene.values("queries per lookup") == [1, 1]


def test_http(scene: SmallScene) -> None:
    """wrk's statistics of a Service."""
    run(scene, "http", from_="pod/a", to="service/web:80", path="/hostname", seconds=1)
    assert scene.values("requests per second")[0] > 3
    assert {one.labels["statistic"] for one in scene.readings if one.metric == "latency"} >= {
        "mean",
        "max",
        "p50",
        "p99",
    }
    assert scene.values("other status") == [0]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_sockperf(scene: SmallScene, protocol: str) -> None:
    """Half of each round trip, in microseconds."""
    run(scene, "sockperf", from_="pod/a", to="pod/b", seconds=1, protocol=protocol)
    assert 10 < sorted(scene.values("latency"))[0] < 100_000


def test_probe_stream(scene: SmallScene) -> None:
    """250 datagrams arrive in order."""
    run(scene, "probe-stream", from_="pod/a", to="pod/b", seconds=0.5)
    assert scene.values("sent") == [250]
    assert len(scene.values("delay")) + scene.values("lost")[0] == 250
    assert scene.values("lost")[0] < 25


def test_flows(scene: SmallScene) -> None:
    """Slowdowns over the ideal of the declared link; a bucket's burst may make one a little less than 1."""
    run(scene, "flows", places="pod/a, pod/b", seconds=0.5, rate="10mbit", sizes="20000")
    assert scene.values("failed") == [0]
    assert min(scene.values("slowdown")) > 0.5
    assert max(scene.values("slowdown")) > 1
    assert set(scene.values("flow size")) == {20000}


def test_incast(scene: SmallScene) -> None:
    """A round ends with its last sender: three of 32 kB over 100 Mbit/s need at least 5 ms."""
    run(scene, "incast", from_="pod/a, pod/gone, node/n1", to="pod/c", rounds=2, interval_s=0.3)
    assert len(scene.values("completion")) == 2
    assert min(scene.values("completion")) > 5
    assert len(scene.values("flow completion")) == 6


def test_call_graph(scene: SmallScene) -> None:
    """Three services of 5 ms each, one after the other, need at least 15 ms."""
    calls = "pod/b -> pod/c; pod/c -> pod/a"
    run(scene, "call-graph", from_="pod/a", to="pod/b", calls=calls, seconds=0.3, work_ms=5.0)
    assert min(scene.values("latency")) > 15


def test_until_ready(scene: SmallScene) -> None:
    """A new pod is ready after it was applied."""
    run(scene, "until-ready", objects="Pod/fresh", apply=NEW_POD, delete=True)
    assert scene.values("time to ready")[0] > scene.values("time to apply")[0] > 0
    scene.cluster.wait("Pod", "fresh", "delete")


def test_policy_enforcement(scene: SmallScene) -> None:
    """The first drop comes after the policy was sent, and at the end nothing leaks."""
    run(scene, "policy-enforcement", from_="pod/a", to="pod/b", policy=SHUT, after_s=0.2, seconds=1.0)
    assert scene.values("first drop")[0] >= 0
    assert scene.values("last leaked")[0] < 1000


def test_a_policy_that_forbids_something_else_is_an_error(scene: SmallScene) -> None:
    """No time can be given, and the policy is gone afterwards."""
    policy = SHUT.replace("app: b", "app: nobody")
    with pytest.raises(KubinetError, match="the policy does not forbid them"):
        run(scene, "policy-enforcement", from_="pod/a", to="pod/b", policy=policy, after_s=0.1, seconds=0.2)
    assert scene.cluster.client.list("NetworkPolicy")["items"] == []


def test_endpoint_removal(scene: SmallScene) -> None:
    """New connections reach a deleted endpoint for a short time only; the other one goes on."""
    servers = "pod/gone, pod/stays"
    given: dict[str, Value] = {"servers": servers, "endpoint": "pod/gone", "new_flows": True}
    run(scene, "endpoint-removal", from_="pod/a", to="service/pair:72", after_s=0.3, seconds=1.0, **given)
    assert 0 <= scene.values("last to endpoint")[0] < 1000


def test_outage(scene: SmallScene) -> None:
    """A policy that forbids the stream for 0.3 s at a time makes outages of about that length."""
    done = threading.Event()

    def shut_and_open() -> None:
        while not done.wait(0.5):
            scene.cluster.apply(SHUT)
            done.wait(0.3)
            scene.cluster.delete(SHUT)

    fault = threading.Thread(target=shut_and_open)
    fault.start()
    try:
        run(scene, "outage", from_="pod/a", to="pod/b", seconds=2.5, least=20)
    finally:
        done.set()
        fault.join()
    assert 200 < max(scene.values("outage")) < 2500
    assert len(scene.values("outage")) == scene.values("outages")[0]
    assert min(scene.values("service lost")) > 0


def test_every_measurement_watches_a_workload(scene: SmallScene) -> None:
    """All at once around bulk TCP: each records all its metrics; the link's queue and bytes are the workload's."""
    given: dict[str, dict[str, Value]] = {
        "conntrack": {"every": "200ms"},
        "controller": {"every": "200ms"},
        "links": {"every": "200ms"},
        "ovs": {"every": "200ms"},
        "pcap": {"places": "pod/a, node/n2, link/n1-s1", "filter": "udp port 4789 or tcp port 5201"},
        "processes": {"every": "200ms"},
        "queues": {"every": "50ms", "links": "n1-s1"},
    }
    scenes = {kind: SmallScene(scene.cluster) for kind in given}
    with ExitStack() as stack:
        for kind, one in scenes.items():
            settings = complete(measurements[kind], given[kind])
            measurements[kind].check(settings)
            stack.enter_context(measurements[kind].watch(one, settings))
        run(scene, "iperf3", from_="pod/a", to="pod/b", seconds=1, warmup=0)
    for kind, one in scenes.items():
        assert {reading.metric for reading in one.readings} == set(measurements[kind].metrics), kind
    carried = sum(
        one.value
        for one in scenes["links"].readings
        if one.metric == "sent" and one.source == "n1" and one.labels["link"] == "n1-s1"
    )
    assert carried * 8 / 1e6 > scene.values("throughput")[0] * 0.9
    assert {one.labels["link"] for one in scenes["queues"].readings} == {"n1-s1"}
    groups = {one.labels["group"] for one in scenes["processes"].readings}
    assert {"api", "controller", "agents", "underlay", "runtime", "ovs-vswitchd", "pods", "measurement"} <= groups
    assert {one.source for one in scenes["ovs"].readings} == {"n1", "n2"}
    (captured,) = scenes["pcap"].kept.values()
    assert captured[:4] == b"\x0a\x0d\x0d\x0a"
    assert min(scenes["pcap"].values("captured")) > 0


def test_a_measurement_that_cannot_watch_is_an_error(scene: SmallScene) -> None:
    """A link that does not exist: the workload is not started, the error names those that do."""
    settings = complete(measurements["links"], {"links": "n1-n2"})
    with pytest.raises(KubinetError, match="there is no link 'n1-n2'; there are n1-s1"):
        with measurements["links"].watch(scene, settings):
            pytest.fail("the block began")


ACKNOWLEDGED = 2.2
"""How many times the packets that are counted are on the wire where each is acknowledged."""
PACED: list[tuple[str, dict[str, Value], float | None]] = [
    ("ping", {"count": 100, "warmup": 0}, 1.1),
    ("ping", {"count": 100, "warmup": 0, "payload": 2000}, 1.1),
    ("fping", {"to": "pod/b, pod/c", "count": 50, "warmup": 0}, 1.1),
    ("probe-stream", {"seconds": 1.0}, 1.1),
    ("iperf3", {"protocol": "udp", "rate": "2mbit", "length": 500, "streams": 2, "seconds": 1, "warmup": 0}, 1.1),
    ("iperf3", {"protocol": "udp", "seconds": 2, "warmup": 0}, 1.1),
    ("iperf3", {"rate": "4mbit", "streams": 2, "length": 4000, "seconds": 1, "warmup": 0}, None),
    ("iperf3", {"rate": "2mbit", "mss": 500, "length": 4000, "seconds": 1, "warmup": 0}, ACKNOWLEDGED),
    ("request-response", {"rate": 150.0, "request": 1000, "response": 1000, "seconds": 1.0}, ACKNOWLEDGED),
    ("request-response", {"rate": 150.0, "protocol": "udp", "response": 3000, "seconds": 1.0}, 1.1),
    ("call-graph", {"calls": "pod/b -> pod/a", "rate": 60.0, "request": 1000, "seconds": 1.0}, ACKNOWLEDGED),
    ("incast", {"from": "pod/a, pod/a", "rounds": 5, "interval_s": 0.2}, None),
    ("flows", {"places": "pod/a, pod/b", "rate": "4mbit", "sizes": "10000", "seconds": 1.0}, None),
    ("flows", {"places": "pod/a, pod/b", "rate": "400kbit", "sizes": "1000", "seconds": 2.0}, 1.3),
]
"""Workloads that set their own pace, and how often what they count is on the wire, at most; None: beside full segments.

All that they send passes pod a's interface."""
HEADERS = {"ping": 42, "fping": 42, "probe-stream": 42}
"""Bytes in front of the payload: Ethernet, IPv4, and 8 of ICMP or UDP; TCP has 66 with its timestamps."""


@pytest.mark.parametrize(("kind", "more", "most"), PACED)
def test_a_workload_sends_what_it_offers(
    scene: SmallScene, kind: str, more: dict[str, Value], most: float | None
) -> None:
    """By the counters of the sender's interface; the tools' own connections take 60 packets and 15 kB more at most."""
    given = {} if kind == "flows" else {"from": "pod/a", "to": "pod/b"}
    settings = complete(workloads[kind], given | more)
    load, seconds = workloads[kind].offered(settings), workloads[kind].duration_s(settings)
    before = _passed(scene)
    run(scene, kind, **given | more)
    packets, size = (now - then for now, then in zip(_passed(scene), before, strict=True))
    payload = size - packets * (42 if settings.get("protocol") == "udp" else HEADERS.get(kind, 66))
    assert load.packets_per_s is not None
    assert load.bits_per_s is not None
    assert packets >= load.packets_per_s * seconds * 0.85
    if most is not None:
        assert packets <= load.packets_per_s * seconds * most + 60
    assert load.bits_per_s / 8 * seconds * 0.85 <= payload <= load.bits_per_s / 8 * seconds * 1.15 + 15_000


def _passed(scene: SmallScene) -> tuple[int, int]:
    """Packets and bytes that came and went at pod a's interface."""
    (line,) = (line for line in scene.place("pod/a").exec(["cat", "/proc/net/dev"]).text.splitlines() if "eth0" in line)
    numbers = [int(word) for word in line.partition(":")[2].split()]
    return numbers[1] + numbers[9], numbers[0] + numbers[8]
