"""`kubinet policy` on a running cluster: the three answers, expectations with real packets, denied packets."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from logtrouble import trouble_in_logs

from kubinet.cli.main import run
from kubinet.cli.policylogging import follow
from kubinet.cluster import Cluster
from kubinet.deniedlog import UNTIL, Entry

pytestmark = pytest.mark.emulated

DEADLINE = 60.0
IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.43"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: SPACE, labels: {app: NAME}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: IMAGE
    args: [netexec, --http-port=8080, --udp-port=8081]
    ports: [{name: http, containerPort: 8080}, {name: udp, containerPort: 8081, protocol: UDP}]
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
""".replace("IMAGE", IMAGE)
OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: ops, labels: {team: ops}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
"""
POLICIES = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: front}}}]
    ports: [{port: http}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: ops}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]
"""
PODS = (("shop", "web", "n1"), ("shop", "front", "n2"), ("ops", "batch", "n1"), ("ops", "cron", "n2"))
TEST = """
apiVersion: kubinet.dev/v1
kind: PolicyTest
metadata: {name: shop}
spec:
  ports: [8080/TCP, 8081/UDP, ICMP]
  expectations:
  - {name: the front reaches the web, from: shop/front, to: shop/app=web, ports: 8080, only: from, expect: allowed}
  - {name: through the Service too, from: shop/front, to: service/shop/web, ports: 80, expect: allowed}
  - {name: others do not, from: [ops/*, node/n2], to: shop/web, ports: [8080, 8081/UDP], expect: denied}
  - {name: ops keep to themselves, from: ops/*, to: [ops/batch, outside, node/*], expect: denied, policy: ops/out}
  - {name: a node reaches its pods, from: node/n1, to: shop/web, expect: allowed}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[Cluster]:
    """n1: shop/web, ops/batch. n2: shop/front, ops/cron. Only the front reaches the web; ops reach shop alone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(home))
        with Cluster("star", nodes=2, settings={"network.dnsReplicas": 0}) as made:
            pods = "".join(
                POD.replace("NAME", name).replace("SPACE", space).replace("NODE", node) for space, name, node in PODS
            )
            made.apply(OBJECTS + pods + POLICIES)
            for space, name, _ in PODS:
                made.wait("Pod", name, namespace=space, timeout=DEADLINE)
            made.wait_realised(DEADLINE)
            yield made
            assert list(trouble_in_logs(made.info.state_dir / "logs")) == []


@pytest.fixture
def kubinet(
    cluster: Cluster, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a command line; returns its status and what it printed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.setenv("KUBINET_CLUSTER", cluster.name)
    monkeypatch.setenv("COLUMNS", "160")  # matrices stand side by side where there is room

    def command(*arguments: str) -> tuple[int, str]:
        status = run(["policy", *arguments])
        return status, capsys.readouterr().out

    return command


Kubinet = Callable[..., tuple[int, str]]


def test_oracle_flows_and_packets_agree(kubinet: Kubinet) -> None:
    """Pods, nodes and the outside, on TCP, UDP, and without ports; three equal tables beside each other."""
    words = [word for probe in ("8080", "8081/UDP", "9/UDP", "ICMP") for word in ("--port", probe)]
    words += [word for who in ("shop/*", "ops/*", "node/*") for word in ("--from", who, "--to", who)]
    status, out = kubinet("matrix", "--check", *words, "--to", "outside", "-o", "json")
    tables = json.loads(out)
    different = [pair for table in tables for pair in table["pairs"] if not pair["agree"]]
    assert (status, different) == (0, [])
    answers = [pair["probe"]["allowed"] for table in tables for pair in table["pairs"]]
    assert (len(answers), answers.count(False)) == (4 * 32, _denied(tables))
    assert 0 < answers.count(False) < len(answers)
    status, out = kubinet("matrix", "--check", "-n", "shop", "--port", "8080")
    assert (status, out) == (
        0,
        "oracle                                  walk                                    probe\n"
        "+------------+------------+----------+  +------------+------------+----------+  "
        "+------------+------------+----------+\n"
        "| 8080/TCP   | shop/front | shop/web |  | 8080/TCP   | shop/front | shop/web |  "
        "| 8080/TCP   | shop/front | shop/web |\n"
        "+------------+------------+----------+  +------------+------------+----------+  "
        "+------------+------------+----------+\n"
        "| shop/front | #          | .        |  | shop/front | #          | .        |  "
        "| shop/front | #          | .        |\n"
        "| shop/web   | X          | #        |  | shop/web   | X          | #        |  "
        "| shop/web   | X          | #        |\n"
        "+------------+------------+----------+  +------------+------------+----------+  "
        "+------------+------------+----------+\n"
        "\n"
        "All agree on 2 answers.\n",
    )


def _denied(tables: list[Any]) -> int:
    return sum(not pair["oracle"]["allowed"] for table in tables for pair in table["pairs"])


def test_a_flow_that_is_not_what_it_should_be_is_found(kubinet: Kubinet, cluster: Cluster) -> None:
    """The web's isolation is made to accept: exit status 1, and who says what about the smallest pair."""
    port = next(
        line.partition("reg1=")[2].split()[0].split(",")[0]
        for line in _flows(cluster, "n1", 74).splitlines()
        if "goto_table:88" in line and _is_of(cluster, line, "shop", "web")
    )
    _change(cluster, "n1", f"table=74,priority=100,ip,reg1={port},actions=goto_table:80")
    try:
        status, out = kubinet("matrix", "--check", "-n", "shop", "-n", "ops", "--to", "shop/web", "--port", "8080")
    finally:
        # The controller counts flows, so it does not notice: a change of the policy has it send the flow again.
        cluster.client.delete("NetworkPolicy", "web", "shop")
        cluster.apply(POLICIES)
        cluster.wait_realised(DEADLINE)
    assert status == 1
    lines = out.splitlines()
    start = lines.index("2 of 3 answers differ. The smallest:")
    assert lines[start + 1 : start + 3] == [
        "  ops/batch > shop/web 8080/TCP",
        "  oracle  denied: ingress: isolated for ingress by shop/deny-all, shop/web; no rule allows it",
    ]
    assert lines[start + 3].startswith("  walk    allowed: Delivered to pod shop/web on node n1")
    assert lines[start + 4] == "  probe   allowed: answered"
    assert kubinet("matrix", "--check", "-n", "shop", "-n", "ops", "--to", "shop/web", "--port", "8080")[0] == 0


def _flows(cluster: Cluster, node: str, table: int) -> str:
    socket = f"unix:/run/kubinet/nodes/{node}/br-int.mgmt"
    return cluster.run(["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", socket, f"table={table}"]).text


def _is_of(cluster: Cluster, line: str, namespace: str, name: str) -> bool:
    """Whether a flow is about the pod's port."""
    (node,) = (node for node in cluster.facts.nodes if node.name == cluster.pod(name, namespace).node)
    address = cluster.pod(name, namespace).address
    return f"reg1={100 + int(address) - int(node.pod_cidr.network_address):#x}" in line


def _change(cluster: Cluster, node: str, flow: str) -> None:
    socket = f"unix:/run/kubinet/nodes/{node}/br-int.mgmt"
    cluster.run(["ovs-ofctl", "-O", "OpenFlow15", "--strict", "mod-flows", socket, flow])


def test_expectations_hold_on_the_running_cluster(kubinet: Kubinet, tmp_path: Path) -> None:
    """By the oracle and by real packets, Services among them; one that does not hold says what packets found."""
    file = tmp_path / "test.yaml"
    file.write_text(TEST)
    status, out = kubinet("test", str(file), "--live", "--junit", str(tmp_path / "out.xml"))
    assert (status, out.splitlines()[-1]) == (0, "5 passed, 0 failed, 0 error"), out
    assert (tmp_path / "out.xml").read_text().count("<testcase") == 5
    file.write_text(TEST.replace("from: shop/front, to: service", "from: ops/cron, to: service"))
    status, out = kubinet("test", str(file), "--live")
    assert status == 1
    assert (
        "ops/cron > service/shop/web 80/TCP: expected allowed, is denied: shop/web:8080: ingress: isolated for ingress "
        "by shop/deny-all, shop/web; no rule allows it; real packets are, too"
    ) in out


def test_a_difference_to_the_running_cluster(kubinet: Kubinet, tmp_path: Path) -> None:
    """A manifest on top of the cluster's policies, and in the place of them."""
    file = tmp_path / "new.yaml"
    file.write_text(POLICIES.partition("---\n")[2].replace("app: front", "team: x").partition("---")[0])
    status, out = kubinet("diff", "cluster", str(file), "-n", "shop", "--exit-code")
    assert status == 1
    rows = [line.split("   ")[:5] for line in out.splitlines()]
    assert [cell.strip() for cell in rows[1]] == ["shop/front", "shop/web", "8080/TCP", "allowed", "denied"]
    assert out.endswith("1 of 2 pairs change.\n")
    file.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    status, out = kubinet("diff", "cluster", str(file), "--instead", "--port", "8080", "-o", "json")
    changes = json.loads(out)["changes"]
    assert {(one["from"], one["to"], one["allowed"]) for one in changes} == {
        ("ops/batch", "ops/cron", True),
        ("ops/batch", "shop/front", True),
        ("ops/batch", "shop/web", True),
        ("ops/cron", "ops/batch", True),
        ("ops/cron", "shop/front", True),
        ("ops/cron", "shop/web", True),
        ("shop/web", "shop/front", True),
    }


def test_denied_packets_are_counted_by_policy(kubinet: Kubinet, cluster: Cluster) -> None:
    """Each denied packet once, with the direction and what decided."""

    def packets() -> dict[tuple[str, ...], int]:
        rows = json.loads(kubinet("counters", "--all", "-o", "json")[1])
        return {(*row["policies"], row["direction"], row["rule"]): row["packets"] for row in rows}

    before = packets()
    out = ("NetworkPolicy/ops/out", "Egress", "isolation")
    into = ("NetworkPolicy/shop/deny-all", "Ingress", "isolation")
    assert set(before) == {out, into, ("NetworkPolicy/shop/deny-all", "NetworkPolicy/shop/web", "Ingress", "isolation")}
    target = cluster.pod("front", "shop").address
    for _ in range(3):
        _datagram(cluster, "batch", str(target))
    _datagram(cluster, "batch", str(cluster.pod("cron", "ops").address))
    found = _until(
        lambda: {key: count - before[key] for key, count in packets().items() if count != before[key]},
        lambda found: sum(found.values()) >= 4,  # Open vSwitch counts twice a second
    )
    assert found == {into: 3, out: 1}


def _datagram(cluster: Cluster, pod: str, address: str) -> None:
    """One UDP datagram to a port where nothing listens."""
    program = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('{address}', 9))"
    cluster.pod(pod, "ops").exec(["python3", "-c", program])


def _until(look: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    """What is seen when it is enough, or at last."""
    for _ in range(100):
        if enough(found := look()):
            return found
        threading.Event().wait(0.1)
    return look()


def test_denied_packets_are_logged_while_somebody_asks(kubinet: Kubinet, cluster: Cluster) -> None:
    """One line for a connection and second; the flows that tell are there only as long as the lease."""
    entries: list[Entry] = []
    target = str(cluster.pod("front", "shop").address)
    port = cluster.pod("batch", "ops")
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 5555)); "
        f"[s.sendto(b'x', ('{target}', 9)) for _ in range(5)]"
    )
    assert "controller(" not in _flows(cluster, "n2", 88)

    def started() -> None:
        port.exec(["python3", "-c", program])
        # The walk knows that the controller is only told.
        assert kubinet("matrix", "--check", "-n", "shop", "--port", "8080")[0] == 0

    for batch in follow(cluster, 4.0, started):
        entries += [entry for entry in batch if entry.protocol == "UDP"]
    assert [(one.node, one.direction, one.protocol, str(one.source), str(one.destination)) for one in entries] == [
        ("n2", "Ingress", "UDP", "ops/batch:5555", "shop/front:9")
    ]
    (entry,) = entries
    assert (entry.policies, entry.rule, entry.count) == (("NetworkPolicy/shop/deny-all",), "isolation", 5)
    out = kubinet("log", "-n", "shop")[1]
    assert out.splitlines()[0].split() == [
        "TIME", "NODE", "DIRECTION", "FROM", "TO", "PROTOCOL", "DENIED", "BY", "RULE", "PACKETS"
    ]  # fmt: skip
    assert [line.split()[1:] for line in out.splitlines()[1:] if "UDP" in line] == [
        ["n2", "Ingress", "ops/batch:5555", "shop/front:9", "UDP", "NetworkPolicy/shop/deny-all", "isolation", "5"]
    ]
    (line,) = kubinet("log", "-n", "ops", "-o", "json")[1].splitlines()
    assert Entry.from_line(line) == entry
    assert kubinet("log", "-n", "kube-system")[1] == ""
    # A client that died leaves a lease that ends by itself: here it ends at once.
    cluster.client.patch("Topology", "cluster", {"metadata": {"annotations": {UNTIL: "2020-01-01T00:00:00Z"}}})
    said = _until(lambda: _flows(cluster, "n2", 88), lambda said: "controller(" not in said)
    assert "controller(" not in said
