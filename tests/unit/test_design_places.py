"""Places, links and objects that an experiment names and that cannot exist are refused before anything is started."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from experiments.design.check import Surroundings, check
from experiments.design.document import parse_text
from experiments.plugins import measurements, workloads
from experiments.timeline.validate import line_checker
from kubinet.errors import InvalidInputError

POD = {"containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10"}]}


def _object(kind: str, name: str, namespace: str = "", **spec: object) -> dict[str, object]:
    versions = {"Pod": "v1", "Service": "v1", "Job": "batch/v1"}
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": versions.get(kind, "apps/v1"), "kind": kind, "metadata": metadata, "spec": spec}


TEMPLATE = {"selector": {}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": POD}}
OBJECTS = [
    _object("Pod", "a", **POD),
    _object("Pod", "b", "shop", **POD),
    _object("Service", "web", ports=[{"port": 80}]),
    _object("Deployment", "front", **TEMPLATE),
    _object("StatefulSet", "db", replicas=2, **TEMPLATE),
    _object("DaemonSet", "agent", **TEMPLATE),
    _object("Job", "load", **TEMPLATE),
]
PING = {"name": "rtt", "kind": "ping", "from": "pod/a", "to": "node/n1"}


def check_design(spec: dict[str, object]) -> None:
    objects = yaml.safe_dump_all(OBJECTS)
    whole = {
        "question": "Is it there?",
        "topology": {"preset": "star", "nodes": 2},
        "manifests": [{"name": "objects", "inline": objects}],
        "workload": [PING],
    }
    document = {"apiVersion": "kubinet.dev/v1", "kind": "Experiment", "metadata": {"name": "x"}, "spec": whole | spec}
    file = parse_text(yaml.safe_dump(document, sort_keys=False), "x.yaml", Path())
    lines = line_checker(Path(), file.design.files)
    check(file.design, Surroundings(workloads, measurements, lambda _: "/bin/true", lines), file.where)


def refusal(spec: dict[str, object]) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check_design(spec)
    return str(caught.value)


PODS = "pod/a, pod/shop/b, pod/db-0, pod/db-1, pod/agent-…, pod/front-…, pod/load-…"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"from": "pod/c"}, f"from: ping: parameter 'from': there is no 'pod/c' (did you mean 'pod/a'?); "
         f"pods of the manifests: {PODS}"),
        ({"to": "node/n9"}, "to: ping: parameter 'to': there is no 'node/n9' (did you mean 'node/n2'?); "
         "nodes of the topology: node/n1, node/n2"),
        ({"to": "service/wep:80"}, "to: ping: parameter 'to': there is no 'service/wep:80' "
         "(did you mean 'service/web'?); services of the manifests: service/web"),
        ({"from": "pod/b"}, "from: ping: parameter 'from': there is no 'pod/b' (did you mean 'pod/shop/b'?); "
         f"pods of the manifests: {PODS}"),
        ({"to": "pod/web"}, "to: ping: parameter 'to': there is no 'pod/web' (did you mean 'service/web'?); "
         f"pods of the manifests: {PODS}"),
        ({"to": "pod/front"}, "to: ping: parameter 'to': there is no 'pod/front' (the pods of Deployment 'front' have "
         f"generated names; a StatefulSet's have known ones); pods of the manifests: {PODS}"),
        ({"to": "pod/db-2"}, "to: ping: parameter 'to': there is no 'pod/db-2' (did you mean 'pod/db-1'?); "
         f"pods of the manifests: {PODS}"),
        ({"to": "pod/db"}, "to: ping: parameter 'to': there is no 'pod/db' (the pods of StatefulSet 'db' have numbers, "
         f"such as db-0); pods of the manifests: {PODS}"),
        ({"to": "outside/moon"}, "to: ping: parameter 'to': there is no 'outside/moon' "
         "(did you mean 'outside/internet'?); "
         "outside hosts of the topology: outside/internet"),
        ({"to": "somewhere"}, "to: ping: parameter 'to': place 'somewhere' is not known; write pod/NAME, "
         "pod/NAMESPACE/NAME, node/NAME or outside/NAME, service/NAME[:PORT], service/NAMESPACE/NAME[:PORT] or "
         "A.B.C.D[:PORT]"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_exist_is_refused(change: dict[str, object], words: str) -> None:
    """The error names file, line, field, the place, what is near and what there is."""
    message = refusal({"workload": [PING | change]})
    head, _, rest = message.partition(": spec.workload[0].")
    assert head.startswith("x.yaml:")
    assert rest == words


@pytest.mark.parametrize(
    "to",
    [
        "pod/shop/b",
        "pod/front-5d4f8-x2x7k",
        "pod/agent-zz9pq",
        "pod/load-8kq2v",
        "pod/db-1",
        "service/web:80",
        "service/kubernetes:443",
        "service/kube-system/kube-dns:53",
        "outside/internet",
        "10.0.0.7",
    ],
)
def test_a_place_that_may_exist_is_accepted(to: str) -> None:
    """Pods of Deployments, DaemonSets and Jobs have generated names, and a cluster has objects of its own."""
    check_design({"workload": [PING | {"to": to}]})


LATER = yaml.safe_dump(_object("Pod", "late", **POD))


@pytest.mark.parametrize(
    "spec",
    [
        {"workload": [{"kind": "until-ready", "objects": "Pod/late", "apply": LATER}, PING | {"to": "pod/late"}]},
        {"files": [{"name": "late.yaml", "inline": LATER}], "timeline": ["at 1s: apply late.yaml"],
         "workload": [PING | {"to": "pod/late"}]},
        {"timeline": ["at 1s: scale sts/db 5"], "workload": [PING | {"to": "pod/db-4"}]},
        {"workload": [{"name": "own", "kind": "designs:PROCESSES"}, PING | {"to": "pod/late"}]},
    ],
)  # fmt: skip
def test_what_comes_into_being_during_a_run_is_accepted(spec: dict[str, object]) -> None:
    """Objects that a workload or the timeline applies, more replicas, and whatever a foreign plug-in makes."""
    check_design(spec)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"workload": [{"kind": "flows", "matrix": "pod/a>node/n1=2, pod/a>node/n7=1"}]},
         "spec.workload[0].matrix: flows: parameter 'matrix': there is no 'node/n7' (did you mean 'node/n2'?)"),
        ({"workload": [{"kind": "call-graph", "from": "pod/a", "to": "pod/db-0", "calls": "pod/db-0->pod/db-9"}]},
         "spec.workload[0].calls: call-graph: parameter 'calls': there is no 'pod/db-9' (did you mean 'pod/db-1'?)"),
        ({"workload": [PING], "measurements": [{"kind": "queues", "links": "n1-s1, n3-s1"}]},
         "spec.measurements[0].links: queues: parameter 'links': there is no link 'n3-s1' (did you mean 'n2-s1'?); "
         "links of the topology: n1-s1, n2-s1, internet-s1"),
        ({"workload": [PING], "measurements": [{"kind": "pcap", "places": "node/n1:n1-eth0 link/n1-n2"}]},
         "spec.measurements[0].places: pcap: parameter 'places': there is no 'link/n1-n2' "
         "(did you mean 'link/n1-s1'?); links of the topology: link/n1-s1, link/n2-s1, link/internet-s1"),
        ({"timeline": ["at 1s: link n1-s2 down"]},
         "spec.timeline[0]: timeline: `link n1-s2 down`: there is no link 'n1-s2' (did you mean 'n1-s1'?); "
         "links: n1-s1, n2-s1, internet-s1"),
    ],
)  # fmt: skip
def test_every_place_of_a_field_is_looked_at(section: dict[str, object], words: str) -> None:
    """Traffic matrices, trees of calls, links of measurements, places of captures, events of the timeline."""
    assert words in refusal(section)


def test_a_huge_number_of_replicas_costs_nothing() -> None:
    """The pods of a StatefulSet are not written out: the last of a thousand million is there, one more is not."""
    text = yaml.safe_dump_all([OBJECTS[0], _object("StatefulSet", "big", replicas=1_000_000_000, **TEMPLATE)])
    manifests = [{"name": "objects", "inline": text}]
    check_design({"manifests": manifests, "workload": [PING | {"to": "pod/big-999999999"}]})
    message = refusal({"manifests": manifests, "workload": [PING | {"to": "pod/big-1000000000"}]})
    assert "there is no 'pod/big-1000000000' (did you mean 'pod/big-1" in message


def test_a_level_without_the_place_is_named() -> None:
    """The number of nodes varies: the error is about the field, and says with which levels."""
    factors = [{"name": "nodes", "sets": "topology.nodes", "levels": [3, 2]}]
    message = refusal({"factors": factors, "workload": [PING | {"to": "node/n3"}]})
    assert message.endswith("nodes of the topology: node/n1, node/n2 (with nodes=2)")


def test_a_level_that_names_the_place_is_blamed() -> None:
    """The error stands at the level, not at the workload's field that it replaces."""
    levels: Sequence[object] = ["node/n1", "node/n7"]
    message = refusal({"factors": [{"name": "where", "sets": "workload.rtt.to", "levels": levels}]})
    assert ": spec.factors[0].levels[1]: ping: parameter 'to': there is no 'node/n7'" in message
