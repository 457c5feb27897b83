"""A cluster made up from manifests alone: objects as the API would have them, workloads' pods, places, Services."""

from pathlib import Path

import pytest

from kubinet.errors import InvalidInputError
from kubinet.manifests import parse_manifests, read_manifests
from kubinet.offline.building import MadeUp, world_of
from kubinet.policies import Direction
from topologies.resolve import load_topology

CONTAINER = "{name: c, image: i, ports: [{name: http, containerPort: 8080}]}"
TEMPLATE = f"{{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{CONTAINER}]}}}}"
ROOT = Path(__file__).resolve().parents[2]


def build(text: str, topology: str = "star", nodes: int | None = None) -> MadeUp:
    overrides = {} if nodes is None else {"nodes": nodes}
    return world_of(parse_manifests(text, "m.yaml"), load_topology(topology, overrides))


def pods(text: str, **options: object) -> dict[str, str]:
    """Nodes and addresses by pod."""
    made = build(text, **options)  # type: ignore[arg-type]
    return {key: f"{pod.node} {pod.address}" for key, pod in made.world.state.pods.items()}


def workload(kind: str, spec: str, version: str = "apps/v1") -> str:
    return (
        f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web, namespace: shop}}\n"
        f"spec: {{selector: {{matchLabels: {{app: web}}}}, template: {TEMPLATE}, {spec}}}\n"
    )


def pod(name: str, spec: str = "", more: str = "") -> str:
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\n"
        f"spec: {{containers: [{{name: c, image: i}}]{spec}}}\n{more}---\n"
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (workload("Deployment", "replicas: 2"), ["shop/web-1", "shop/web-2"]),
        (workload("Deployment", "minReadySeconds: 0"), ["shop/web-1"]),
        (workload("ReplicaSet", "replicas: 0"), []),
        (workload("StatefulSet", "serviceName: web, replicas: 2, ordinals: {start: 3}"), ["shop/web-3", "shop/web-4"]),
        (workload("DaemonSet", "minReadySeconds: 0"), ["shop/web-n1", "shop/web-n2", "shop/web-n3"]),
        (
            workload("Job", "parallelism: 3, completions: 2", "batch/v1")
            .replace("selector: {matchLabels: {app: web}}, ", "")
            .replace("spec: {containers", "spec: {restartPolicy: Never, containers"),
            ["shop/web-1", "shop/web-2"],
        ),
    ],
)
def test_workloads_count_as_their_pods(text: str, names: list[str]) -> None:
    """As many as the spec asks for; named in order; with the template's labels and named ports."""
    made = build(text)
    found = made.world.state.pods
    assert sorted(found) == names
    for one in found.values():
        assert one.labels["app"] == "web"
        assert [(port.name, port.number) for port in one.named_ports] == [("http", 8080)]
        assert made.world.ports[one.key] == ((8080, "TCP"),)


def test_pods_come_to_nodes_in_turn_with_the_first_free_addresses() -> None:
    """Two nodes of a star, as `kubinet up star --nodes 2` has them."""
    assert pods("".join(map(pod, ("a", "b", "c"))), nodes=2) == {
        "default/a": "n1 10.244.0.2",
        "default/b": "n2 10.244.1.2",
        "default/c": "n1 10.244.0.3",
    }


def test_pods_that_say_where_they_are_are_there() -> None:
    """nodeName, nodeSelector, and the address of a pod that was exported from a cluster."""
    text = pod("a", ", nodeName: n2", "status: {podIP: 10.244.1.2}\n") + pod("b", ", nodeName: n2")
    text += pod("c", ", nodeSelector: {kubernetes.io/hostname: n3}")
    assert pods(text) == {
        "default/a": "n2 10.244.1.2",
        "default/b": "n2 10.244.1.3",
        "default/c": "n3 10.244.2.2",
    }


def test_pods_without_an_address_of_their_own_are_left_out() -> None:
    """Those of the host network, which is told, and those that have ended."""
    made = build(pod("a", ", hostNetwork: true") + pod("b", "", "status: {phase: Succeeded, podIP: 10.244.0.9}\n"))
    assert made.world.state.pods == {}
    assert made.remarks == ("On the host network, and so their node to policies: a.",)


def test_an_exported_workload_is_its_exported_pods() -> None:
    """A Deployment whose ReplicaSet, and a ReplicaSet whose pod, is there is not expanded."""
    owned = "ownerReferences: [{apiVersion: apps/v1, kind: %s, name: web, uid: u, controller: true}]"
    replica_set = workload("ReplicaSet", "replicas: 1").replace(
        "name: web, ", "name: web, " + owned % "Deployment" + ", "
    )
    one = pod("web-x", "").replace("name: web-x,", "name: web-x, namespace: shop, " + owned % "ReplicaSet" + ",", 1)
    text = workload("Deployment", "replicas: 1") + "---\n" + replica_set + "---\n" + one
    assert list(build(text).world.state.pods) == ["shop/web-x"]


def test_nodes_may_stand_in_the_manifests() -> None:
    """Their labels, blocks and addresses are theirs."""
    node = (
        "apiVersion: v1\nkind: Node\nmetadata: {name: big, labels: {size: big}}\nspec: {podCIDR: 10.9.0.0/24}\n"
        "status: {addresses: [{type: InternalIP, address: 192.168.0.7}]}\n---\n"
    )
    made = build(node + pod("a", ", nodeSelector: {size: big}"))
    (only,) = made.world.state.nodes.values()
    assert (only.name, str(only.underlay.ip), str(only.pod_gateway)) == ("big", "192.168.0.7", "10.9.0.1")
    assert str(made.world.state.pods["default/a"].address) == "10.9.0.2"
    assert made.plan == (
        "Made up from manifests: pods 1, nodes 1 (big, Node objects); pods in turn unless they say where; "
        "addresses from 10.9.0.2 on in each node's pod CIDR."
    )


def test_namespaces_that_are_only_named_have_their_name_as_label() -> None:
    """Those that are written have their own labels too."""
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n---\n"
    made = build(text + workload("Deployment", "replicas: 1") + "---\n" + pod("a"))
    assert made.world.state.namespaces == {
        "default": {"kubernetes.io/metadata.name": "default"},
        "shop": {"kubernetes.io/metadata.name": "shop", "team": "a"},
    }


def test_services_have_addresses_and_the_pods_that_they_select() -> None:
    """The target port's name is looked up in the pod; a node port is given where the type asks for one."""
    service = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"
        "spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]}\n---\n"
    )
    made = build(service + workload("Deployment", "replicas: 2"), nodes=2)
    (web,) = made.world.state.services.values()
    (port,) = web.ports
    assert str(web.cluster_ip) == "10.96.0.20"
    assert [str(address) for address in web.load_balancer_ips] == ["172.31.0.1"]
    assert (port.port, port.node_port) == (80, 30000)
    assert [(str(one.address), one.port, one.node, one.ready) for one in port.endpoints] == [
        ("10.244.0.2", 8080, "n1", True),
        ("10.244.1.2", 8080, "n2", True),
    ]


def test_policies_of_all_kinds_are_read() -> None:
    """With the API's defaults: a policy without policyTypes isolates for ingress."""
    text = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}}\n---\n"
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: q}\n"
        "spec: {priority: 5, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n"
    )
    found = build(text).world.state.policies
    assert sorted(found) == ["AdminNetworkPolicy/q", "NetworkPolicy/default/p"]
    assert found["NetworkPolicy/default/p"].directions == {Direction.INGRESS}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelectr: {}}\n",
         'm.yaml:1 (document 1): strict decoding error: unknown field "spec.podSelectr"'),
        ("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n"
         "spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}\n",
         'm.yaml:1 (document 1): NetworkPolicy.networking.k8s.io "p" is invalid: spec.ingress[0].from[0].ipBlock'),
        ("apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}}\n",
         "m.yaml:1 (document 1): NetworkPolicy of extensions/v1beta1 is not known; write networking.k8s.io/v1"),
        (pod("a", ", nodeName: moon"),
         "pod 'default/a': no node of topology star fits nodeName moon; nodes are n1, n2, n3: name a topology"),
        (pod("a", ", nodeSelector: {size: big}"),
         "pod 'default/a': no node of topology star fits nodeSelector {'size': 'big'}"),
    ],
)  # fmt: skip
def test_what_the_api_would_refuse_is_refused(text: str, why: str) -> None:
    """File, line and field are named; a pod that fits no node is told where it wanted to be."""
    with pytest.raises(InvalidInputError) as caught:
        build(text)
    assert str(caught.value).startswith(why)


def test_what_has_no_meaning_here_is_named() -> None:
    """Kinds that the API does not serve."""
    ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\nspec: {}\n"
    assert build(ingress).remarks == ("Without meaning here: Ingress/i.",)


@pytest.mark.parametrize("folder", ["examples", "examples/guestbook", "examples/policy"])
def test_the_examples_can_be_asked_about(folder: str) -> None:
    """Every manifest of the repository's examples."""
    files = sorted((ROOT / folder).glob("*.yaml"))
    assert files
    manifests = [one for file in files for one in parse_manifests(file.read_text(), str(file))]
    made = world_of([one for one in manifests if one.object["kind"] != "Topology"], load_topology("star"))
    assert made.world.state.pods


@pytest.mark.parametrize("folder", ["examples/guestbook", "examples/policy"])
def test_a_folder_of_examples_can_be_applied(folder: str) -> None:
    """In the order in which `kubinet apply -f FOLDER` reads it: a namespace before what is in it, Kubernetes only."""
    objects = [one.object for one in read_manifests(str(ROOT / folder))]
    assert not [one["kind"] for one in objects if one["apiVersion"] == "kubinet.dev/v1"]
    there = {"default"}
    for one in objects:
        if one["kind"] == "Namespace":
            there.add(one["metadata"]["name"])
        assert one["metadata"].get("namespace", "default") in there
