"""Objects that `ready`, until-ready and `scale` name and that cannot exist are refused before anything is started."""

import pytest
import yaml
from test_design_places import LATER, OBJECTS, TEMPLATE, check_design, refusal

from experiments.objectnames import ObjectName, parse_object
from kubinet.errors import UsageError
from kubinet.manifests import Object

MORE: list[Object] = [
    {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}, "spec": {"jobTemplate": {}}},
    {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "once-"}, "spec": TEMPLATE},
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "till", "namespace": "shop"},
        "spec": TEMPLATE,
    },
    {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "lakes.example.org"},
        "spec": {"names": {"kind": "Lake", "plural": "lakes"}},
    },
]
ALL = {"manifests": [{"name": "objects", "inline": yaml.safe_dump_all([*OBJECTS, *MORE])}]}
UNTIL = {"name": "until", "kind": "until-ready"}
DEPLOYMENTS = "Deployments of the manifests: Deployment/front, shop:Deployment/till"
PODS = "Pods of the manifests: Pod/a, shop:Pod/b, Pod/db-0, Pod/db-1, Pod/agent-…, Pod/front-…"
EVERY = "objects of the manifests: CronJob/nightly, CustomResourceDefinition/lakes.example.org, DaemonSet/agent, "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Deployment/fornt", f"there is no Deployment/fornt (did you mean 'Deployment/front'?); {DEPLOYMENTS}"),
        ("Deployment/till", f"there is no Deployment/till (did you mean 'shop:Deployment/till'?); {DEPLOYMENTS}"),
        ("Deployment/db", f"there is no Deployment/db (did you mean 'StatefulSet/db'?); {DEPLOYMENTS}"),
        ("Pod/c", f"there is no Pod/c (did you mean 'Pod/a'?); {PODS}"),
        ("Pod/db-2", f"there is no Pod/db-2 (did you mean 'Pod/db-1'?); {PODS}"),
        ("Pod/front", "there is no Pod/front (the pods of Deployment 'front' have generated names; a StatefulSet's "
         f"have known ones); {PODS}"),
        ("Service/wep", "there is no Service/wep (did you mean 'Service/web'?); "
         "Services of the manifests: Service/web"),
        ("Node/n3", "there is no Node/n3 (did you mean 'Node/n2'?); Nodes of the topology: Node/n1, Node/n2"),
        ("Depolyment/front", f"there is no Depolyment/front (did you mean 'Deployment/front'?); {EVERY}"),
        ("ReplicaSet/fornt-x", "there is no ReplicaSet/fornt-x (did you mean 'ReplicaSet/front-…'?); ReplicaSets of "
         "the manifests: ReplicaSet/front-…, shop:ReplicaSet/till-…"),
        ("a", "'a' names no object; write Kind/NAME or NAMESPACE:Kind/NAME, such as Deployment/web"),
    ],
)  # fmt: skip
def test_what_ready_names_must_be_in_the_manifests(text: str, words: str) -> None:
    """The error names file, line, field, the object, what is near and what there is."""
    head, _, rest = refusal(ALL | {"ready": ["Deployment/front", text]}).partition(": spec.ready[1]: ")
    assert head.startswith("x.yaml:")
    assert rest.startswith(words)


@pytest.mark.parametrize(
    "text",
    [
        "Pod/a", "shop:Pod/b", "Pod/db-0", "Pod/front-5d4f8-x2x7k", "Node/n2", "Service/web", "Service/kubernetes",
        "kube-system:Deployment/coredns", "StatefulSet/db", "DaemonSet/agent", "Job/load", "CronJob/nightly",
        "Job/nightly-29000000", "Job/once-x7k2p", "shop:Deployment/till", "shop:ReplicaSet/till-5d4f8", "Lake/como",
    ],
)  # fmt: skip
def test_what_may_be_ready_is_accepted(text: str) -> None:
    """Objects of the manifests, what their controllers make, nodes, the cluster's own, and kinds defined there."""
    check_design(ALL | {"ready": [text]})


def test_what_comes_with_the_workload_is_not_waited_for_before() -> None:
    """`ready` is waited for before the workload begins, so what only that applies can never be ready by then."""
    workload = [{"kind": "until-ready", "objects": "Pod/late", "apply": LATER}]
    check_design({"workload": workload})
    assert refusal({"workload": workload, "ready": ["Pod/late"]}).endswith(
        ": spec.ready[0]: Pod/late is not there before the workload begins, and `ready` is waited for before that; "
        "put it into the manifests, or wait with the workload until-ready"
    )


@pytest.mark.parametrize(
    "later",
    [
        {"workload": [{"name": "own", "kind": "designs:PROCESSES"}]},
        {"timeline": ["at 1s: apply unread.yaml"]},
        {"workload": [UNTIL | {"objects": "Pod/late", "apply": LATER}]},
    ],
    ids=["foreign", "unread", "read"],
)
def test_a_mistyped_name_is_told_what_is_near_whatever_comes_later(later: dict[str, object]) -> None:
    """A foreign plug-in may make anything, but not before `ready` is waited for: the name is a mistake all the same."""
    assert refusal(ALL | later | {"ready": ["Deployment/fornt"]}).endswith(
        f": spec.ready[0]: there is no Deployment/fornt (did you mean 'Deployment/front'?); {DEPLOYMENTS}"
    )


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ("Pod/a, Deployment/fornt", f"there is no Deployment/fornt (did you mean 'Deployment/front'?); {DEPLOYMENTS}"),
        ("Pod/late", f"there is no Pod/late (did you mean 'Pod/a'?); {PODS}"),
        ("pod/a", "'pod/a' names no object; write Kind/NAME or NAMESPACE:Kind/NAME, such as Deployment/web"),
    ],
)
def test_what_until_ready_waits_for_must_come_into_being(objects: str, words: str) -> None:
    """An object that neither the manifests nor a workload or the timeline make is refused with its line."""
    message = refusal(ALL | {"workload": [UNTIL | {"objects": objects}]})
    assert message.startswith("x.yaml:")
    assert f": until-ready: parameter 'objects': {words}" in message


@pytest.mark.parametrize(
    "spec",
    [
        {"workload": [UNTIL | {"objects": "Pod/late", "apply": LATER}]},
        {"files": [{"name": "late.yaml", "inline": LATER}], "timeline": ["at 1s: apply late.yaml"],
         "workload": [UNTIL | {"objects": "Pod/late"}]},
        {"workload": [{"name": "own", "kind": "designs:PROCESSES"}, UNTIL | {"objects": "Pod/late"}]},
    ],
)  # fmt: skip
def test_until_ready_waits_for_what_comes_during_a_run(spec: dict[str, object]) -> None:
    """Objects that it applies itself, that the timeline applies, and whatever a foreign plug-in makes."""
    check_design(spec)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("at 1s: scale deploy/fornt 3",
         f"there is no Deployment/fornt (did you mean 'Deployment/front'?); {DEPLOYMENTS}"),
        ("at 1s: scale Deployments/db 3", f"there is no Deployment/db (did you mean 'StatefulSet/db'?); {DEPLOYMENTS}"),
        ("at 1s: scale shop:sts/db 3", "there is no shop:StatefulSet/db (did you mean 'StatefulSet/db'?); "
         "StatefulSets of the manifests: StatefulSet/db"),
    ],
)  # fmt: skip
def test_what_is_scaled_must_come_into_being(line: str, words: str) -> None:
    """A line about an object that nothing makes is refused; the error names the line and the action."""
    action = line.removeprefix("at 1s: ")
    message = refusal(ALL | {"timeline": ["at 0s: kill controller", line]})
    assert message.startswith("x.yaml:")
    assert message.endswith(f": spec.timeline[1]: timeline: `{action}`: {words}")


@pytest.mark.parametrize(
    "word", ["deploy/front", "deployments/front", "shop:Deployment/till", "sts/db", "rs/front-5d4f8"]
)
def test_what_can_be_scaled_is_accepted(word: str) -> None:
    """Short names, plurals, namespaces, and ReplicaSets whose names a Deployment generates."""
    check_design(ALL | {"timeline": [f"at 1s: scale {word} 3"]})


def test_a_level_without_the_object_is_named() -> None:
    """The number of copies varies: the error says with which levels the object is missing."""
    spec = {
        "manifests": [
            {"name": "many", "inline": yaml.safe_dump_all(OBJECTS[:1]) + "---\n" + LATER.replace("late", "c-$(i)")}
        ],
        "factors": [{"name": "copies", "sets": "manifests.many.repeat", "levels": [1, 0]}],
    }
    message = refusal(spec | {"ready": ["Pod/a"], "workload": [{"kind": "ping", "from": "node/n1", "to": "node/n2"}]})
    assert message.endswith(": spec.ready[0]: there is no Pod/a; objects of the manifests: none (with copies=0)")


def test_an_objects_name_is_read_and_written() -> None:
    """`Kind/NAME` is in the namespace default; other namespaces stand before it."""
    assert parse_object("shop:Pod/a-0") == ObjectName("Pod", "a-0", "shop")
    assert [str(parse_object(text)) for text in ("Pod/a", "shop:Pod/a")] == ["Pod/a", "shop:Pod/a"]
    with pytest.raises(UsageError, match="'pod/a' names no object"):
        parse_object("pod/a")
