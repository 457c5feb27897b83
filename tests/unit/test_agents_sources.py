"""Environment, volumes and resolver of a pod's containers, from its object."""

import base64
from dataclasses import replace
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.podcontainers import container_spec, environment, sandbox_spec
from agents.podresolver import ClusterDns
from agents.podsources import ContainerConfigError, Surroundings, quantity
from agents.podspec import Pod, pod_from_object
from agents.podvolumes import mounts
from kubinet.cri import EmptyDirSource, FilesSource, HostAlias, HostPathSource, MountSpec
from kubinet.images import UnknownImageError, load_table

_CONFIG = {
    "data": {"colour": "blue", "a.txt": "hello\n"},
    "binaryData": {"raw": base64.b64encode(b"\x00\xff").decode()},
}
DNS = ClusterDns(IPv4Address("10.96.0.10"))
_SECRET = {"data": {"password": base64.b64encode(b"s3cret").decode()}}


def around() -> Surroundings:
    known = {("ConfigMap", "shop", "settings"): _CONFIG, ("Secret", "shop", "login"): _SECRET}
    addresses = (IPv4Address("172.18.1.2"), IPv4Address("10.244.1.5"))
    return Surroundings("n1", *addresses, lambda *key: known.get(key), cpus=2, memory=1 << 30)


def pod(container: dict[str, Any] | None = None, **spec: Any) -> Pod:
    metadata = {
        "uid": "u-1",
        "namespace": "shop",
        "name": "web",
        "resourceVersion": "1",
        "labels": {"app": "web", "tier": "front"},
        "annotations": {"note": 'say "hi"'},
    }
    main = {"name": "main", "image": "busybox", **(container or {})}
    return pod_from_object({"metadata": metadata, "spec": {"containers": [main], "restartPolicy": "Always", **spec}})


def env_of(*entries: dict[str, Any], env_from: tuple[dict[str, Any], ...] = (), **more: Any) -> dict[str, str]:
    wanted = pod({"env": list(entries), "envFrom": list(env_from), **more})
    return environment(wanted, wanted.containers[0], around())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['note']", 'say "hi"'),
        ("metadata.annotations['none']", ""),
        ("spec.nodeName", "n1"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "10.244.1.5"),
        ("status.podIPs", "10.244.1.5"),
        ("status.hostIP", "172.18.1.2"),
    ],
)
def test_every_field_that_kubernetes_offers(path: str, value: str) -> None:
    """`fieldRef` gives the pod's own facts."""
    assert env_of({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}) == {"X": value}


def test_an_unknown_field_is_an_error_with_the_known_ones() -> None:
    """The message lists what may be asked for."""
    with pytest.raises(ContainerConfigError, match=r"'spec\.color' is not supported; use one of metadata\.name"):
        env_of({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.color"}}})


def test_variables_refer_to_those_before_them() -> None:
    """`$(NAME)` is replaced, `$$(NAME)` stays as text, and an unknown name stays as it is."""
    found = env_of(
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)$(C)$$(A)"},
        {"name": "C", "value": "3"},
    )
    assert found == {"A": "1", "B": "1$(C)$(A)", "C": "3"}


def test_values_from_config_maps_and_secrets() -> None:
    """Single keys, whole objects with a prefix, and what is missing but optional."""
    found = env_of(
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
        {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}}},
        env_from=(
            {"secretRef": {"name": "login"}, "prefix": "LOGIN_"},
            {"configMapRef": {"name": "n", "optional": True}},
        ),
    )
    assert found == {"LOGIN_password": "s3cret", "COLOUR": "blue", "PASSWORD": "s3cret"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "x"}}, 'configmap "none" not found'),
        ({"configMapKeyRef": {"name": "settings", "key": "x"}}, "couldn't find key x in ConfigMap shop/settings"),
        ({"secretKeyRef": {"name": "none", "key": "x"}}, 'secret "none" not found'),
    ],
)
def test_what_is_missing_is_named(source: dict[str, Any], message: str) -> None:
    """A missing object or key is told as Kubernetes tells it."""
    with pytest.raises(ContainerConfigError) as caught:
        env_of({"name": "X", "valueFrom": source})
    assert str(caught.value) == message


def test_resources_are_counted_in_units_of_the_divisor() -> None:
    """Limits of the container, rounded up; without a limit the machine's size."""
    resources = {"limits": {"memory": "100Mi", "cpu": "1500m"}}
    found = env_of(
        {"name": "MI", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MILLI", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        {"name": "REQUEST", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}},
        resources=resources,
    )
    assert found == {"MI": "100", "CPU": "2", "MILLI": "1500", "REQUEST": "0"}
    unlimited = env_of({"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}})
    assert unlimited == {"CPU": "2"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ("500m", "0.5"), ("128Mi", 128 * 2**20), ("1e3", 1000), ("1.5k", 1500), ("-1", -1), ("100n", "1e-7")],
)
def test_quantities(text: str, value: object) -> None:
    """Plain, decimal and binary suffixes, exponents."""
    assert quantity(text) == Decimal(str(value))


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_clear_error(text: str) -> None:
    """No other exception, whatever a user writes."""
    try:
        quantity(text)
    except ContainerConfigError as error:
        assert "is not a quantity" in str(error)


def mounts_of(volume: dict[str, Any], **mount: Any) -> MountSpec:
    container = {"volumeMounts": [{"name": "v", "mountPath": "/v", **mount}]}
    wanted = pod(container, volumes=[{"name": "v", **volume}])
    return mounts(wanted, wanted.containers[0], around())[0]


def test_an_empty_dir_may_have_a_limit() -> None:
    """`sizeLimit` is in bytes for the runtime; `readOnly` and `subPath` are the mount's."""
    assert mounts_of({"emptyDir": {}}) == MountSpec(Path("/v"), EmptyDirSource("v"))
    limited = mounts_of({"emptyDir": {"sizeLimit": "1Mi"}}, readOnly=True, subPath="a")
    assert limited == MountSpec(Path("/v"), EmptyDirSource("v", 1 << 20), read_only=True, sub_path="a")


def test_files_of_config_maps_and_secrets() -> None:
    """All keys, or the chosen ones under their paths; text and binary; the given mode."""
    assert mounts_of({"configMap": {"name": "settings"}}).source == FilesSource(
        "v", {"colour": b"blue", "a.txt": b"hello\n", "raw": b"\x00\xff"}
    )
    chosen = {"name": "settings", "items": [{"key": "colour", "path": "etc/colour"}], "defaultMode": 0o400}
    assert mounts_of({"configMap": chosen}).source == FilesSource("v", {"etc/colour": b"blue"}, 0o400)
    assert mounts_of({"secret": {"secretName": "login"}}).source == FilesSource("v", {"password": b"s3cret"})


def test_a_projected_volume_joins_its_sources() -> None:
    """ConfigMap, Secret and the pod's own fields in one folder."""
    sources = [
        {"configMap": {"name": "settings", "items": [{"key": "colour", "path": "colour"}]}},
        {"secret": {"name": "login"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    files = {"colour": b"blue", "password": b"s3cret", "labels": b'app="web"\ntier="front"'}
    assert mounts_of({"projected": {"sources": sources}}).source == FilesSource("v", files)


def test_a_host_path_must_exist(tmp_path: Path) -> None:
    """The machine's folders are shown, never made."""
    assert mounts_of({"hostPath": {"path": str(tmp_path)}}).source == HostPathSource(tmp_path)
    with pytest.raises(ContainerConfigError, match=r"hostPath .*/none does not exist; Kubinet does not create it"):
        mounts_of({"hostPath": {"path": str(tmp_path / "none")}})


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (
            {"nfs": {"server": "x"}},
            'volume "v": type nfs is not supported; Kubinet has configMap, downwardAPI, emptyDir',
        ),
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        (
            {"configMap": {"name": "settings", "items": [{"key": "x", "path": "x"}]}},
            'configmap "settings" has no key "x"',
        ),
        ({"projected": {"sources": [{"clusterTrustBundle": {}}]}}, "a projected clusterTrustBundle is not supported"),
    ],
)
def test_volumes_that_cannot_be_had_are_named(volume: dict[str, Any], message: str) -> None:
    """The message names the volume or object, and what there is instead."""
    with pytest.raises(ContainerConfigError) as caught:
        mounts_of(volume)
    assert message in str(caught.value)


def test_a_containers_command_arguments_and_limits() -> None:
    """The image table gives the program, `$(NAME)` in arguments is replaced by final values."""
    wanted = pod(
        {
            "command": ["echo"],
            "args": ["$(A)", "$$(A)"],
            "env": [{"name": "A", "value": "$$(HOME)"}],
            "workingDir": "/tmp",
            "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}},
        }
    )
    spec, note = container_spec(wanted, wanted.containers[0], 3, load_table(user_table=Path("/none")), around())
    assert (spec.argv, spec.env["A"], spec.attempt, note) == (("echo", "$(HOME)", "$(A)"), "$(HOME)", 3, "")
    assert (spec.cwd, spec.limits.cpu, spec.limits.memory) == (Path("/tmp"), 0.25, 64 << 20)


def test_an_unknown_image_is_not_started() -> None:
    """The image table's error says how to add it."""
    wanted = pod({"image": "example.com/none:1"})
    with pytest.raises(UnknownImageError, match="is not in the image table"):
        container_spec(wanted, wanted.containers[0], 0, load_table(user_table=Path("/none")), around())


def test_a_pods_sandbox_has_its_own_name_and_resolver() -> None:
    """Host name, full name, address, host aliases, and the resolver that its policy gives it."""
    aliases = [{"ip": "10.0.0.1", "hostnames": ["a", "b"]}]
    wanted = pod(hostAliases=aliases, hostname="w", subdomain="sub")
    spec = sandbox_spec(wanted, "n1", IPv4Address("10.244.1.5"), "/proc/9/ns/net", DNS)
    assert (spec.hostname, spec.network_namespace, spec.address) == ("w", None, IPv4Address("10.244.1.5"))
    assert spec.fqdn == "w.sub.shop.svc.cluster.local"
    assert spec.nameservers == (IPv4Address("10.96.0.10"),)
    assert spec.searches == ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
    assert spec.dns_options == ("ndots:5",)
    assert spec.host_aliases == (HostAlias(IPv4Address("10.0.0.1"), ("a", "b")),)


def test_a_host_network_pod_lives_in_the_nodes_namespace() -> None:
    """It has the node's host name and no search list of the cluster."""
    spec = sandbox_spec(pod(hostNetwork=True), "n1", IPv4Address("172.18.1.2"), "/proc/9/ns/net", DNS)
    assert (spec.hostname, spec.network_namespace, spec.searches) == ("n1", Path("/proc/9/ns/net"), ())


def test_a_projected_token_is_asked_for_with_its_audience() -> None:
    """The file holds what the API answers for the pod and the source; the namespace stands beside it."""
    token = {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 3607}}
    field = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    sources = [token, {"downwardAPI": {"items": [field]}}]
    wanted = pod(
        {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=[{"name": "v", "projected": {"sources": sources}}]
    )
    asked = replace(
        around(), token=lambda pod, source: f"{pod.name} {source['audience']} {source['expirationSeconds']}"
    )
    (mount,) = mounts(wanted, wanted.containers[0], asked)
    assert mount.source == FilesSource("v", {"token": b"web vault 3607", "namespace": b"shop"})


def test_service_variables_come_before_the_containers_own() -> None:
    """A variable of the container replaces a service's of the same name, and may refer to others."""
    told = replace(around(), services=lambda namespace, links: {"A_HOST": f"{namespace} {links}", "B_HOST": "b"})
    wanted = pod({"env": [{"name": "A_HOST", "value": "own"}, {"name": "URL", "value": "http://$(B_HOST)/"}]})
    assert environment(wanted, wanted.containers[0], told) == {"A_HOST": "own", "B_HOST": "b", "URL": "http://b/"}
    alone = pod(enableServiceLinks=False)
    assert environment(alone, alone.containers[0], told) == {"A_HOST": "shop False", "B_HOST": "b"}
