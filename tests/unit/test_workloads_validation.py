"""Deployments and ReplicaSets that are wrong are refused in upstream's words; right ones get their defaults."""

from typing import Any

import pytest

from controller.api.objects import Objects
from controller.api.registry import DEPLOYMENT, REPLICA_SET, Kind
from controller.api.status import StatusError
from controller.api.store import Store
from controller.workloads.namespaces import ensure_defaults


def workload(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
    base = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"metadata": {"name": "web"}, "spec": base | spec}


def template(labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "i"}]
    return {"template": {"metadata": {"labels": labels}, "spec": {"containers": containers, **spec}}}


def rolling(**parts: Any) -> dict[str, Any]:
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": parts}}


OURS = {"app": "web"}
PERCENT = "a valid percent string must be a numeric string followed by an ending '%'"


def refused(kind: Kind, obj: dict[str, Any]) -> str:
    objects = Objects(Store())
    ensure_defaults(objects)
    with pytest.raises(StatusError) as caught:
        objects.create(kind, "default", obj)
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    return caught.value.message


@pytest.mark.parametrize("kind", [DEPLOYMENT, REPLICA_SET])
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"selector": None}, "spec.selector: Required value"),
        ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for"),
        (
            template({"app": "other"}),
            'spec.template.metadata.labels: Invalid value: {"app":"other"}: '
            "`selector` does not match template `labels`",
        ),
        (
            template(OURS, restartPolicy="Never"),
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        (
            template(OURS, activeDeadlineSeconds=5),
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
        ),
        (template(OURS, containers=[]), "spec.template.spec.containers: Required value"),
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ({"minReadySeconds": -1}, "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"),
    ],
)
def test_what_both_kinds_refuse(kind: Kind, spec: dict[str, Any], message: str) -> None:
    """Selector, template and numbers are checked."""
    obj = workload(**spec)
    obj["spec"] = {key: value for key, value in obj["spec"].items() if value is not None}
    assert message in refused(kind, obj)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            rolling(maxSurge=0, maxUnavailable=0),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            rolling(maxSurge="0%", maxUnavailable="0%"),
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
        ),
        (rolling(maxSurge="many"), f'spec.strategy.rollingUpdate.maxSurge: Invalid value: "many": {PERCENT}'),
        (rolling(maxSurge=-1), "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or"),
        (
            rolling(maxUnavailable="101%"),
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        ({"strategy": {"type": "Canary"}}, 'supported values: "Recreate", "RollingUpdate"'),
        (
            {"progressDeadlineSeconds": 10, "minReadySeconds": 10},
            "spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds",
        ),
        ({"revisionHistoryLimit": -1}, "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal"),
    ],
)
def test_what_a_deployment_refuses(spec: dict[str, Any], message: str) -> None:
    """Strategy and deadlines are checked."""
    assert message in refused(DEPLOYMENT, workload(**spec))


def test_the_selector_is_immutable() -> None:
    """A selector never changes, even with a template that matches it."""
    objects = Objects(Store())
    ensure_defaults(objects)
    for kind in (DEPLOYMENT, REPLICA_SET):
        stored = objects.create(kind, "default", workload())
        new = stored.copy()
        new["spec"]["selector"]["matchLabels"] = new["spec"]["template"]["metadata"]["labels"] = {"app": "x"}
        with pytest.raises(StatusError, match=r'spec\.selector: Invalid value: .*"x"}}: field is immutable'):
            objects.update(kind, stored, new)


def test_defaults() -> None:
    """What a client reads back is complete, and a template has no more than upstream puts there."""
    objects = Objects(Store())
    ensure_defaults(objects)
    stored = objects.create(DEPLOYMENT, "default", workload()).object
    spec = stored["spec"]
    assert {key: value for key, value in spec.items() if key not in ("selector", "template")} == {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }
    assert spec["template"]["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "i:1",
                "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "resources": {},
            }
        ],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
    }
    assert stored["metadata"]["generation"] == 1
    assert objects.create(REPLICA_SET, "default", workload()).object["status"] == {"replicas": 0}
