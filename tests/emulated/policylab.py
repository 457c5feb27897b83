"""Cases of `policyworld` on a real cluster: it is made what the case says, and every pair of pods is probed.

Three answers must agree: the case's table, the oracle about the cluster's real objects, and the packets.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

import pytest
from logtrouble import trouble_in_logs
from policyprobes import Probe, Prober, Timing
from policyworld import Case, Pair, Step, World, probe, resolve

from kubinet.client import Object
from kubinet.cluster import Cluster
from kubinet.kubernetes import StateReader
from kubinet.policy import Oracle, Party
from kubinet.policyobjects import KINDS
from kubinet.state import ClusterState
from kubinet.transport import Protocol


@dataclass(frozen=True)
class Conditions:
    """What a lab's machine and datapath are like."""

    ready_seconds: float = 60.0
    """How long a pod or the flows may take."""
    timing: Timing = field(default_factory=Timing)
    """Of a round of probes."""
    sctp_by_ports: bool = False
    """Whether the datapath tracks SCTP by ports. The userspace datapath does by addresses alone: a packet is a reply to
    any association between the two pods."""
    asks_oracle: bool = True
    """About every cell; else only about those where table and packets differ."""


USUAL: Final = Conditions()


class PolicyLab:
    """A cluster of which worlds are made."""

    def __init__(self, cluster: Cluster, *bases: World, conditions: Conditions = USUAL) -> None:
        """All base worlds are there at once: a case's own one is changed, the others stay as they are."""
        self.cluster, self.conditions = cluster, conditions
        self._bases = bases
        self._reader = StateReader()
        self._pods: dict[str, Mapping[str, str]] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._policies: dict[tuple[str, str], Any] = {}
        self.addresses: dict[str, str] = {}
        self.blocks = {node.name: str(node.pod_cidr) for node in cluster.facts.nodes}
        for node in cluster.facts.nodes:
            self.addresses[f"node/{node.name}"] = str(node.underlay.ip)
        self.addresses["outside/host"] = str(cluster.outside().address)
        for base in bases:
            for name, labels in base.nodes.items():
                cluster.client.patch("Node", name, {"metadata": {"labels": dict(labels)}})
        self.become(bases[0])
        self.prober = Prober(cluster, conditions.timing)

    def close(self) -> None:
        """End what belongs to it."""
        self.prober.close()

    # The cluster as it should be

    def become(self, world: World) -> None:
        """Create, change and delete what differs; returns when all nodes have the flows."""
        others = [base for base in self._bases if not base.namespaces.keys() <= world.namespaces.keys()]
        namespaces = {k: v for base in [*others, world] for k, v in base.namespaces.items()}
        pods = {k: v for base in [*others, world] for k, v in base.pods.items()}
        worlds = {k: base for base in [*others, world] for k in base.pods}
        for key in self._policies.keys() - world.policies.keys():
            self._delete(*key)
            del self._policies[key]
        for pod in self._pods.keys() - pods.keys():
            self._delete("Pod", pod)
            self.addresses.pop(pod)
            del self._pods[pod]
        for gone in self._namespaces.keys() - namespaces.keys():
            self._delete("Namespace", gone)
            del self._namespaces[gone]
        self._label(namespaces)
        self._place(pods, worlds)
        places = self.addresses | {f"node of {name}": self.blocks[where] for name, where in world.placement.items()}
        for key, document in world.policies.items():
            if self._policies.get(key) != document:
                self.cluster.client.apply(resolve(document, places))
                self._policies[key] = document
        self.cluster.wait_realised(self.conditions.ready_seconds)

    def _label(self, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        for name, labels in namespaces.items():
            metadata = {"name": name, "labels": dict(labels)}
            if name not in self._namespaces:
                self.cluster.client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            elif self._namespaces[name] != labels:
                change = _difference(self._namespaces[name], labels)
                self.cluster.client.patch("Namespace", name, {"metadata": {"labels": change}})
            self._namespaces[name] = labels

    def _place(self, pods: Mapping[str, Mapping[str, str]], worlds: Mapping[str, World]) -> None:
        made = []
        for pod, labels in pods.items():
            namespace, _, name = pod.partition("/")
            if pod not in self._pods:
                self.cluster.client.create(_pod(pod, labels, worlds[pod]))
                made.append(pod)
            elif self._pods[pod] != labels:
                change = _difference(self._pods[pod], labels)
                self.cluster.client.patch("Pod", name, {"metadata": {"labels": change}}, namespace)
            self._pods[pod] = labels
        for pod in made:
            namespace, _, name = pod.partition("/")
            ready = self.cluster.wait("Pod", name, namespace=namespace, timeout=self.conditions.ready_seconds)
            self.addresses[pod] = ready["status"]["podIP"]

    def _delete(self, kind: str, key: str) -> None:
        namespace, _, name = key.rpartition("/")
        at_once = {"grace_period": 0} if kind == "Pod" else {}
        self.cluster.client.delete(kind, name, namespace or None, **at_once)
        if kind in ("Pod", "Namespace"):
            self.cluster.wait(kind, name, "delete", namespace=namespace or None, timeout=self.conditions.ready_seconds)

    # What it does

    def state(self) -> ClusterState:
        """The oracle's input, of the objects that the API has."""
        client = self.cluster.client
        listed = {kind: client.list(kind)["items"] for kind in ("Topology", "Node", "Pod", "Namespace")}
        policies: list[Object] = [one for kind in KINDS for one in client.list(kind)["items"]]
        return self._reader.read(
            listed["Topology"][0], listed["Node"], listed["Pod"], 0, namespaces=listed["Namespace"], policies=policies
        )

    def check(self, case: Case) -> None:
        """Fail with the differences of the case's first wrong step."""
        found = self.differences(case)
        if found:
            pytest.fail(f"{case.name}: {len(found)} differences\n" + "\n".join(found[:30]))

    def differences(self, case: Case) -> list[str]:
        """Make each of the case's worlds and probe every pair on every port, against table and oracle.

        Ends with the first step that has differences, and says them.
        """
        for number, (world, step) in enumerate(case.worlds()):
            self.become(world)
            found = self.disagreements(case, world, step)
            if found:
                return [f"step {number}: {text}" for text in found]
        return []

    def disagreements(self, case: Case, world: World, step: Step) -> list[str]:
        """In words, what differs between the table, the oracle and the packets."""
        # The outside reaches pods by Services alone, whatever policies say.
        pairs = [pair for pair in case.pairs(world) if pair[0] != "outside/host"]
        protocols = {protocol.name for protocol in Protocol}
        protocols -= set() if self.conditions.sctp_by_ports or _names_sctp(world) else {"SCTP"}
        texts = [text for text in step.tables if text.partition("/")[2] in protocols]
        cells = [(text, pair) for text in texts for pair in pairs]
        denied = {text: step.denied(text, case.names(world)) for text in step.tables}
        probes = []
        for text, pair in cells:
            protocol, port = probe(text)
            addresses = self.addresses[pair[0]], self.addresses[pair[1]]
            probes.append(Probe(*addresses, port, (protocol or Protocol.TCP).name, pair not in denied[text]))
        wrong = []
        if self.conditions.asks_oracle:
            for one, (judged, reason) in zip(probes, self._judged(cells), strict=True):
                if judged is not one.arrives:
                    wrong.append(f"the table says {_word(one.arrives)}, the oracle says {_word(judged)}: {reason}")
        differing = list(self._probe(probes))
        judgements = self._judged([cells[index] for index, _ in differing]) if differing else []
        for (index, said), (_, reason) in zip(differing, judgements, strict=True):
            expected = _word(probes[index].arrives)
            wrong.append(f"the table says {expected}, packets say {said}; the oracle: {reason}")
        return wrong

    def _judged(self, cells: Sequence[tuple[str, Pair]]) -> Iterator[tuple[bool, str]]:
        """What the oracle says about the cluster's objects as they are: allowed or not, and why."""
        state = self.state()
        oracle = Oracle(state)
        for text, (source, destination) in cells:
            parties = (
                _party(oracle, state, source, self.addresses[source]),
                oracle.party(IPv4Address(self.addresses[destination])),
            )
            judged = oracle.judge(*parties, *probe(text))
            yield (
                judged.allowed,
                f"{source} > {destination} {text}: egress {judged.egress.reason}; {judged.ingress.reason}",
            )

    def _probe(self, probes: Sequence[Probe]) -> Iterator[tuple[int, str]]:
        """Which probes got something else.

        Where SCTP is tracked by addresses it goes one way first, is forgotten, and then goes the other way.
        """
        if self.conditions.sctp_by_ports:
            yield from self.wrong(probes)
            return
        forward = [n for n, one in enumerate(probes) if one.protocol != "SCTP" or one.source < one.destination]
        backward = sorted(set(range(len(probes))) - set(forward))
        for some in (forward, backward):
            if some:
                if backward:
                    self._each_switch("dpctl/flush-conntrack")
                yield from ((some[index], said) for index, said in self.wrong([probes[n] for n in some]))

    def wrong(self, probes: Sequence[Probe]) -> list[tuple[int, str]]:
        """Which probes did not get what was expected, and what they got.

        A switch tells that its flows are in force a moment before all that it has cached is brought up to date: what is
        wrong once is asked again, and reported when it stays so.
        """
        first = [index for index, _ in self.prober.wrong(probes)]
        again = self.prober.wrong([probes[index] for index in first]) if first else []
        return [(first[index], said) for index, said in again]

    def _each_switch(self, command: str) -> None:
        run_dir = "/run/kubinet/nodes"
        each = f"for one in {run_dir}/*/ovs-vswitchd.*.ctl; do ovs-appctl -t $one {command} || exit 1; done"
        self.cluster.run(["sh", "-c", each])


@contextlib.contextmanager
def policy_lab(state_home: Path, *bases: World) -> Iterator[PolicyLab]:
    """Three nodes in a star, for one module; its services may log no trouble."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(state_home))
        with Cluster("star", nodes=3, settings={"network.dnsReplicas": 0}) as cluster:
            with contextlib.closing(PolicyLab(cluster, *bases)) as made:
                yield made
            assert list(trouble_in_logs(cluster.info.state_dir / "logs")) == []


def _party(oracle: Oracle, state: ClusterState, name: str, address: str) -> Party:
    """A node's packets to pods have its pod gateway address."""
    node = state.nodes.get(name.removeprefix("node/"))
    return oracle.party(IPv4Address(address) if node is None else node.pod_gateway)


def _names_sctp(world: World) -> bool:
    """Only then are all probes on SCTP worth their time, where they go in two rounds."""
    return "SCTP" in json.dumps([*world.policies.values()])


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "denied"


def _difference(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    return {**dict.fromkeys(before.keys() - after.keys()), **after}


def _pod(key: str, labels: Mapping[str, str], world: World) -> Object:
    namespace, _, name = key.partition("/")
    ports = [{"name": p.name, "containerPort": p.number, "protocol": p.protocol.name} for p in world.ports]
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9", "ports": ports}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {"nodeName": world.node_of(key), "terminationGracePeriodSeconds": 0, "containers": [container]},
    }
