"""Merge patch, JSON patch and strategic merge patch."""

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.patch import json_patch, merge, strategic
from controller.api.status import StatusError

POD = "io.k8s.api.core.v1.Pod"
SERVICE = "io.k8s.api.core.v1.Service"

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def reference(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, word by word."""
    if isinstance(patch, dict):
        if not isinstance(target, dict):
            target = {}
        for name, value in patch.items():
            if value is None:
                if name in target:
                    del target[name]
            else:
                target[name] = reference(target.get(name), value)
        return target
    return patch


@given(JSON_VALUES, JSON_VALUES)
def test_merge_patch_is_rfc_7386(target: Any, patch: Any) -> None:
    """The merge equals the RFC's algorithm and leaves the target alone."""
    before = copy.deepcopy(target)
    assert merge(target, patch) == reference(copy.deepcopy(target), copy.deepcopy(patch))
    assert target == before


@given(st.dictionaries(st.sampled_from("abc"), JSON_VALUES, max_size=3), JSON_VALUES)
def test_json_patch_never_breaks(target: dict[str, Any], operations: Any) -> None:
    """Whatever is sent as JSON patch gives an object or a Status."""
    try:
        assert isinstance(json_patch(target, operations), dict)
    except StatusError as error:
        assert error.code in (400, 413, 422)


def test_json_patch_test_operation() -> None:
    """A failed test operation is a 422."""
    with pytest.raises(StatusError) as caught:
        json_patch({"a": 1}, [{"op": "test", "path": "/a", "value": 2}])
    assert caught.value.code == 422


def test_containers_merge_by_name() -> None:
    """Containers are merged by name; unnamed ones are refused."""
    pod = {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}
    patched = strategic(pod, {"spec": {"containers": [{"name": "b", "image": "z"}]}}, POD)
    assert patched == {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "z"}]}}
    with pytest.raises(StatusError, match="does not contain declared merge key: name"):
        strategic({"spec": {"containers": [{"name": "a"}]}}, {"spec": {"containers": [{"image": "z"}]}}, POD)


CONTAINERS = [{"name": "a", "image": "x", "env": [{"name": "E", "value": "1"}]}, {"name": "b", "image": "y"}]
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"containers": CONTAINERS}, {"containers": [{"name": "b", "image": "z"}]}),
    ({"containers": CONTAINERS}, {"containers": [{"name": "c", "image": "z"}]}),
    ({"containers": CONTAINERS}, {"containers": [{"name": "a", "$patch": "delete"}]}),
    ({"containers": CONTAINERS}, {"containers": [{"name": "c", "image": "z"}, {"$patch": "replace"}]}),
    (
        {"containers": CONTAINERS},
        {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "q"}]},
    ),
    (
        {"containers": CONTAINERS},
        {
            "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}],
            "containers": [{"name": "c", "image": "q"}],
        },
    ),
    ({"containers": CONTAINERS}, {"$setElementOrder/containers": [{"name": "b"}]}),
    ({"containers": CONTAINERS}, {"containers": [{"name": "a", "env": [{"name": "F", "value": "2"}]}]}),
    ({"containers": CONTAINERS}, {"containers": [{"name": "a", "env": None}]}),
    ({"containers": CONTAINERS, "nodeSelector": {"a": "b", "c": "d"}}, {"nodeSelector": {"a": None, "e": "f"}}),
    ({"containers": CONTAINERS, "nodeSelector": {"a": "b"}}, {"nodeSelector": {"$patch": "replace", "e": "f"}}),
    ({"containers": CONTAINERS, "tolerations": [{"key": "k"}]}, {"tolerations": [{"key": "l"}]}),
    (
        {"containers": CONTAINERS, "volumes": [{"name": "v", "emptyDir": {}}]},
        {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]},
    ),
    (
        {"containers": CONTAINERS, "imagePullSecrets": [{"name": "a"}, {"name": "b"}]},
        {"imagePullSecrets": [{"name": "c"}, {"name": "a"}]},
    ),
    (
        {"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]},
        {"containers": [{"name": "a", "ports": [{"containerPort": 81}, {"containerPort": 80, "name": "web"}]}]},
    ),
]


def _kubectl() -> str | None:
    sdk = Path("/usr/lib/google-cloud-sdk/bin/kubectl.1.32")
    return str(sdk) if sdk.exists() else shutil.which("kubectl")


@pytest.mark.client
@pytest.mark.parametrize("case", range(len(CASES)))
def test_strategic_merge_equals_kubectls(case: int, tmp_path: Path) -> None:
    """The result of a strategic merge is what upstream's own code computes (`kubectl patch --local`)."""
    kubectl = _kubectl()
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    spec, patch = CASES[case]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    file = tmp_path / "pod.json"
    file.write_text(json.dumps(pod))
    change = {"spec": patch}
    command = [kubectl, "patch", "--local", "--type=strategic", "-f", str(file), "-p", json.dumps(change), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env={"HOME": str(tmp_path)})
    wanted = json.loads(done.stdout)["spec"]
    for container in wanted["containers"]:
        container.pop("resources", None)  # a struct that Go always writes
    assert strategic(copy.deepcopy(pod), copy.deepcopy(change), POD)["spec"] == wanted
