"""Service accounts over HTTP: the token in every pod, TokenRequest, who may do what, and the API's own Service."""

import base64
import json
import subprocess
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import jwt
import pytest
from apiserver import MAPS, MERGE, PODS, Connection, config_map, serve

from controller.api import access, pki
from controller.api.access import Access, refusal
from controller.workloads.apiservice import endpoint_slice, endpoints, service
from kubinet.state import NetworkConfig

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "busybox"}], **spec}}


async def token_of(api: Connection, path: str = ACCOUNTS, name: str = "default", **spec: Any) -> str:
    status, answer = await api.ask("POST", f"{path}/{name}/token", {"spec": spec})
    assert status == 201, answer
    return str(answer["status"]["token"])


def as_user(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_every_namespace_has_its_default_account_and_the_authority(tmp_path: Path) -> None:
    """Both come with the namespace, come back when deleted or changed, and go with the namespace."""
    authority = pki.ensure(tmp_path / "pki").authority.read_text()

    async def scenario(api: Connection) -> None:
        await api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "new"}})
        for namespace in ("default", "kube-system", "kube-public", "new"):
            base = f"/api/v1/namespaces/{namespace}"
            assert (await api.ask("GET", f"{base}/serviceaccounts/default"))[0] == 200
            assert (await api.ask("GET", f"{base}/configmaps/kube-root-ca.crt"))[1]["data"] == {"ca.crt": authority}
        await api.ask("DELETE", f"{ACCOUNTS}/default")
        await api.ask(
            "PATCH", f"{MAPS}/kube-root-ca.crt", {"data": {"ca.crt": "x"}}, Content_Type="application/merge-patch+json"
        )
        assert (await api.ask("GET", f"{ACCOUNTS}/default"))[0] == 200
        assert (await api.ask("GET", f"{MAPS}/kube-root-ca.crt"))[1]["data"] == {"ca.crt": authority}

    serve(tmp_path, scenario)


def test_a_pod_gets_the_token_volume(tmp_path: Path) -> None:
    """A projected volume as upstream's admission adds it, mounted in every container that has nothing there."""

    async def scenario(api: Connection) -> None:
        own = {"name": "own", "image": "b", "volumeMounts": [{"name": "e", "mountPath": MOUNT}]}
        spec = {"initContainers": [{"name": "i", "image": "b"}, own], "volumes": [{"name": "e", "emptyDir": {}}]}
        status, made = await api.ask("POST", PODS, pod("a", **spec))
        assert status == 201, made
        kept, added = made["spec"]["volumes"]
        assert kept == {"name": "e", "emptyDir": {}}
        name = added["name"]
        assert name.startswith("kube-api-access-")
        assert len(name) == len("kube-api-access-") + 5
        field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
        assert added["projected"] == {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
            ],
        }
        mount = {"name": name, "readOnly": True, "mountPath": MOUNT}
        assert made["spec"]["containers"][0]["volumeMounts"] == [mount]
        assert made["spec"]["initContainers"][0]["volumeMounts"] == [mount]
        assert made["spec"]["initContainers"][1]["volumeMounts"] == own["volumeMounts"]

    serve(tmp_path, scenario)


def test_automount_is_refused_by_the_pod_or_its_account(tmp_path: Path) -> None:
    """The pod's word counts before its account's; an account that does not exist is a 403."""

    async def scenario(api: Connection) -> None:
        await api.ask("POST", ACCOUNTS, {"metadata": {"name": "shy"}, "automountServiceAccountToken": False})
        for name, spec, mounted in (
            ("a", {"automountServiceAccountToken": False}, False),
            ("b", {"serviceAccountName": "shy"}, False),
            ("c", {"serviceAccountName": "shy", "automountServiceAccountToken": True}, True),
        ):
            made = (await api.ask("POST", PODS, pod(name, **spec)))[1]
            assert bool(made["spec"].get("volumes")) is mounted
        status, answer = await api.ask("POST", PODS, pod("d", serviceAccountName="none"))
        assert (status, answer["message"]) == (
            403,
            'pods "d" is forbidden: error looking up service account default/none: serviceaccount "none" not found',
        )

    serve(tmp_path, scenario)


def test_token_requests(tmp_path: Path) -> None:
    """The claims are Kubernetes'; a token bound to a pod lives a year when it is asked for as admission does."""

    async def scenario(api: Connection) -> None:
        uid = (await api.ask("GET", f"{ACCOUNTS}/default"))[1]["metadata"]["uid"]
        created = (await api.ask("POST", PODS, pod("a")))[1]
        reference = {"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": created["metadata"]["uid"]}
        claims = jwt.decode(await token_of(api), options={"verify_signature": False})
        assert claims["iss"] == "https://kubernetes.default.svc.cluster.local"
        assert claims["aud"] == ["https://kubernetes.default.svc.cluster.local"]
        assert claims["sub"] == "system:serviceaccount:default:default"
        assert claims["exp"] - claims["iat"] == 3600
        assert claims["kubernetes.io"] == {"namespace": "default", "serviceaccount": {"name": "default", "uid": uid}}
        bound = await token_of(api, expirationSeconds=3607, boundObjectRef=reference)
        claims = jwt.decode(bound, options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 365 * 24 * 3600
        assert claims["kubernetes.io"]["pod"] == {"name": "a", "uid": reference["uid"]}
        status, answer = await api.ask("POST", f"{ACCOUNTS}/default/token", {"spec": {"expirationSeconds": 5}})
        assert (status, answer["details"]["causes"][0]["field"]) == (422, "spec.expirationSeconds")
        wrong = {"spec": {"boundObjectRef": reference | {"uid": "other"}}}
        assert (await api.ask("POST", f"{ACCOUNTS}/default/token", wrong))[0] == 409
        assert (await api.ask("POST", f"{ACCOUNTS}/none/token", {}))[0] == 404
        assert (await api.ask("GET", f"{ACCOUNTS}/default/token"))[0] == 405

    serve(tmp_path, scenario)


def test_tokens_that_are_not_good_are_401(tmp_path: Path) -> None:
    """Foreign, changed, expired, unsigned, for another audience, of a deleted pod or account."""

    async def scenario(api: Connection) -> None:
        key = (tmp_path / "pki" / "sa.key").read_bytes()
        good = await token_of(api)
        assert (await api.ask("GET", PODS, **as_user(good)))[0] == 200
        claims = jwt.decode(good, options={"verify_signature": False})
        head, _, signature = good.split(".")
        other = json.dumps(claims | {"sub": "system:serviceaccount:kube-system:default"}).encode()
        await api.ask("POST", PODS, pod("a"))
        bound = await token_of(api, boundObjectRef={"kind": "Pod", "name": "a"})
        assert (await api.ask("GET", PODS, **as_user(bound)))[0] == 200
        await api.ask("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
        await api.ask("POST", ACCOUNTS, {"metadata": {"name": "gone"}})
        gone = await token_of(api, name="gone")
        await api.ask("DELETE", f"{ACCOUNTS}/gone")
        await api.ask("POST", ACCOUNTS, {"metadata": {"name": "gone"}})
        bad = {
            "foreign": jwt.encode(claims, b"x" * 32, "HS256"),
            "changed": f"{head}.{base64.urlsafe_b64encode(other).decode().rstrip('=')}.{signature}",
            "expired": jwt.encode(claims | {"exp": int(time.time()) - 1}, key, "HS256"),
            "unsigned": jwt.encode(claims, None, "none"),
            "audience": await token_of(api, audiences=["vault"]),
            "pod gone": bound,
            "account replaced": gone,
        }
        assert {
            name: (await api.ask("GET", PODS, **as_user(token)))[0] for name, token in bad.items()
        } == dict.fromkeys(bad, 401)

    serve(tmp_path, scenario)


OWN = access.service_account("shop", "robot")
SYSTEM = access.service_account("kube-system", "dns")


@pytest.mark.parametrize(
    ("user", "wanted", "allowed"),
    [
        (access.ADMIN, Access("delete", "", "nodes", name="n1"), True),
        (SYSTEM, Access("create", "", "pods", "shop"), True),
        (OWN, Access("create", "", "pods", "shop"), True),
        (OWN, Access("create", "", "pods", "other"), False),
        (OWN, Access("get", "", "pods", "other", "a"), True),
        (OWN, Access("list", "", "pods"), True),
        (OWN, Access("get", "", "pods", "other", "a", "log"), True),
        (OWN, Access("get", "", "pods", "other", "a", "exec"), False),
        (OWN, Access("get", "", "pods", "shop", "a", "exec"), True),
        (OWN, Access("get", "", "secrets", "shop", "s"), True),
        (OWN, Access("get", "", "secrets", "other", "s"), False),
        (OWN, Access("watch", "", "secrets"), False),
        (OWN, Access("list", "", "*", "other"), False),
        (OWN, Access("create", "", "namespaces"), False),
        (OWN, Access("delete", "", "namespaces", name="shop"), False),
        (OWN, Access("create", "authorization.k8s.io", "selfsubjectaccessreviews"), True),
        (OWN, Access("create", "authentication.k8s.io", "tokenreviews"), False),
    ],
)
def test_the_rule_of_who_may_do_what(user: access.User, wanted: Access, allowed: bool) -> None:
    """Admin and kube-system everything; others read all but foreign Secrets and write in their own namespace."""
    assert (refusal(user, wanted) == "") is allowed


def test_refusals_and_reviews_say_the_same(tmp_path: Path) -> None:
    """A refused request is a 403 in upstream's words, and SelfSubjectAccessReview answers by the same rule."""

    async def scenario(api: Connection) -> None:
        user = as_user(await token_of(api))
        other = "/api/v1/namespaces/kube-public"
        assert (await api.ask("POST", MAPS, config_map("mine"), **user))[0] == 201
        status, answer = await api.ask("POST", f"{other}/configmaps", config_map("theirs"), **user)
        assert (status, answer["message"]) == (
            403,
            'configmaps is forbidden: User "system:serviceaccount:default:default" cannot create resource '
            '"configmaps" in API group "" in the namespace "kube-public": '
            "a service account writes in its own namespace only",
        )
        assert (await api.ask("GET", f"{other}/configmaps", **user))[0] == 200
        assert (await api.ask("GET", "/api/v1/secrets?watch=true", **user))[0] == 403
        assert (await api.ask("PATCH", "/api/v1/nodes/n1", {}, **user))[0] == 403
        for namespace, allowed in (("default", True), ("kube-public", False)):
            attributes = {"verb": "delete", "resource": "pods", "namespace": namespace}
            review = {"spec": {"resourceAttributes": attributes}}
            reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            status, answer = await api.ask("POST", reviews, review, **user)
            assert (status, answer["status"]["allowed"], answer["kind"]) == (201, allowed, "SelfSubjectAccessReview")
        status, answer = await api.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, **user)
        assert answer["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
        token = {"spec": {"token": user["Authorization"].removeprefix("Bearer ")}}
        status, answer = await api.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", token)
        assert (answer["status"]["authenticated"], answer["status"]["user"]["groups"]) == (
            True,
            ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
        )

    serve(tmp_path, scenario)


NETWORK = {
    "overlay": "vxlan",
    "datapath": "auto",
    "podCIDR": "10.244.0.0/16",
    "nodeCIDRMaskSize": 24,
    "serviceCIDR": "10.97.0.0/16",
    "underlayCIDR": "172.18.0.0/16",
    "managementCIDR": "172.29.0.0/16",
    "mtu": 1500,
}


def test_the_apis_service_points_at_the_management_address(tmp_path: Path) -> None:
    """Service, Endpoints and EndpointSlice `kubernetes` say where the API is, and are mended when changed."""
    (tmp_path / "topology.json").write_text(json.dumps({"spec": {"network": NETWORK}}))
    base = "/api/v1/namespaces/default"

    async def scenario(api: Connection) -> None:
        await api.ask("DELETE", f"{base}/services/kubernetes")
        made = (await api.ask("GET", f"{base}/services/kubernetes"))[1]
        assert made["spec"]["clusterIP"] == "10.97.0.1"
        assert made["spec"]["ports"] == [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}]
        change = {"subsets": [{"addresses": [{"ip": "1.2.3.4"}]}]}
        await api.ask("PATCH", f"{base}/endpoints/kubernetes", change, Content_Type=MERGE)
        found = (await api.ask("GET", f"{base}/endpoints/kubernetes"))[1]
        port = {"name": "https", "port": 6443, "protocol": "TCP"}
        assert found["subsets"] == [{"addresses": [{"ip": "172.29.0.1"}], "ports": [port]}]
        slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
        found = (await api.ask("GET", slices))[1]
        assert found["endpoints"] == [{"addresses": ["172.29.0.1"], "conditions": {"ready": True}}]
        assert found["metadata"]["labels"] == {"kubernetes.io/service-name": "kubernetes"}
        version = found["metadata"]["resourceVersion"]
        await api.ask("POST", MAPS, config_map("unrelated"))
        assert (await api.ask("GET", slices))[1]["metadata"]["resourceVersion"] == version

    serve(tmp_path, scenario)


def test_the_three_objects_agree() -> None:
    """One address and one port in all."""
    network = NetworkConfig()
    assert service(network)["spec"]["ports"][0]["targetPort"] == 6443
    assert endpoints(network)["subsets"][0]["addresses"] == [{"ip": "172.30.0.1"}]
    assert endpoint_slice(network)["endpoints"][0]["addresses"] == ["172.30.0.1"]


def test_the_certificate_is_for_all_names_of_the_api(tmp_path: Path) -> None:
    """Loopback, the Service's names, and the addresses that were given."""
    files = pki.ensure(tmp_path, [IPv4Address("172.30.0.1"), IPv4Address("10.96.0.1")])
    command = ["openssl", "x509", "-in", str(files.certificate), "-noout", "-ext", "subjectAltName"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[1]
    assert {part.strip() for part in told.split(",")} == {
        "IP Address:127.0.0.1",
        "IP Address:0:0:0:0:0:0:0:1",
        "IP Address:172.30.0.1",
        "IP Address:10.96.0.1",
        "DNS:localhost",
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local",
    }
