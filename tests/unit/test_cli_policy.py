"""`kubinet policy` without a cluster: from manifests alone."""

import json
from pathlib import Path

import pytest

from kubinet.cli.main import run

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: agnhost, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: front, namespace: shop, labels: {app: front}}
spec: {containers: [{name: front, image: agnhost}]}
---
apiVersion: v1
kind: Pod
metadata: {name: batch, namespace: ops}
spec: {containers: [{name: batch, image: agnhost}]}
"""
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: front}}}]
    ports: [{port: http}]
"""
TEST = """
apiVersion: kubinet.dev/v1
kind: PolicyTest
metadata: {name: shop}
spec:
  manifests: [web.yaml, policy.yaml]
  ports: 8080/TCP
  expectations:
  - {name: only the front, from: shop/front, to: shop/app=web, only: from, expect: allowed}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("KUBINET_CLUSTER", "KUBINET_API", "KUBINET_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    for name, text in (("web", WEB), ("policy", POLICY), ("test", TEST)):
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_matrix_from_manifests(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ports are those that the containers declare; how the cluster was made up is told on standard error."""
    assert run(["policy", "matrix", "-f", "web.yaml", "-f", "policy.yaml", "--nodes", "2"]) == 0
    captured = capsys.readouterr()
    assert captured.out == (
        "+------------+-----------+------------+------------+\n"
        "| 8080/TCP   | ops/batch | shop/front | shop/web-1 |\n"
        "+------------+-----------+------------+------------+\n"
        "| ops/batch  | #         | .          | X          |\n"
        "+------------+-----------+------------+------------+\n"
        "| shop/front | .         | #          | .          |\n"
        "| shop/web-1 | .         | .          | #          |\n"
        "+------------+-----------+------------+------------+\n"
    )
    assert captured.err == (
        "Made up from manifests: pods 3, nodes 2 (n1 to n2, topology leaf-spine); pods in turn unless they say where; "
        "addresses from 10.244.0.2 on in each node's pod CIDR.\n"
    )


def test_a_matrix_of_chosen_places_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each answer with the reasons of both ends; a folder's PolicyTest is no manifest."""
    words = ["policy", "matrix", "-f", ".", "-n", "shop", "--from", "outside", "--to", "shop/app=web"]
    assert run([*words, "--port", "8080", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "port": "8080/TCP",
            "pairs": [
                {
                    "from": "outside/internet",
                    "to": "shop/web-1",
                    "allowed": False,
                    "egress": "policies are for pods: what nodes and outside hosts send is free",
                    "ingress": "isolated for ingress by shop/web; no rule allows it",
                }
            ],
        }
    ]


def test_a_difference_between_manifests(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pairs, ports, and why; the exit status says whether there is one when it is asked to."""
    assert run(["policy", "diff", "web.yaml", "policy.yaml", "-f", "web.yaml", "--nodes", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in out[:3]] == [
        ["FROM", "TO", "PORTS", "BEFORE"],
        ["ops/batch", "shop/web-1", "everything", "allowed"],
        ["shop/front", "shop/web-1", "1-8079/TCP,", "8081-65535/TCP,"],
    ]
    assert out[-1] == "2 of 6 pairs change."
    assert run(["policy", "diff", "--exit-code", "web.yaml", "policy.yaml", "-f", "web.yaml", "--port", "8080"]) == 1
    assert run(["policy", "diff", "--exit-code", "web.yaml", "web.yaml"]) == 0


def test_expectations_hold_or_do_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 when all hold; 1 when one does not, by manifests of the command line instead of the document's own."""
    assert run(["policy", "test", "test.yaml", "--junit", "out.xml"]) == 0
    assert capsys.readouterr().out == "PASSED  only the front: 2 asked\n1 passed, 0 failed, 0 error\n"
    assert '<testcase classname="test" name="only the front" />' in (folder / "out.xml").read_text()
    assert run(["policy", "test", "test.yaml", "-f", "web.yaml"]) == 1
    assert capsys.readouterr().out == (
        "FAILED  only the front: 1 of 2 are not as expected\n"
        "          ops/batch > shop/web-1 8080/TCP: expected denied, is allowed: no policy selects it for egress; no "
        "policy selects it for ingress\n"
        "0 passed, 1 failed, 0 error\n"
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["matrix"], "no cluster runs; `kubinet up` starts one"),
        (["matrix", "-f", "web.yaml", "--port", "x"], "--port 'x' is no port: write NUMBER/PROTOCOL"),
        (["matrix", "-f", "web.yaml", "--from", "shop/x"], "--from shop/x names nobody in this world"),
        (["matrix", "-f", "web.yaml", "--to", "service/shop/web"], "--to service/shop/web: a Service is no place"),
        (["matrix", "-f", "web.yaml", "-n", "moon"], "there are no pods to ask about in moon"),
        (["matrix", "-f", "policy.yaml"], "there are no pods to ask about in any namespace"),
        (["diff", "cluster", "cluster"], "OLD and NEW are both the cluster; name a manifest for one of them"),
        (["diff", "cluster", "web.yaml", "-f", "web.yaml"], "-f adds pods to manifests; the cluster has its own"),
        (["diff", "web.yaml", "web.yaml", "--instead"], "--instead is about the cluster's policies"),
        (["test", "web.yaml"], "web.yaml:2 (document 1): Deployment is no PolicyTest; name manifests with -f"),
        (["test", "absent.yaml"], "absent.yaml: cannot be read: No such file or directory"),
        (["test", "test.yaml", "-f", "absent.yaml"], "absent.yaml: cannot be read: No such file or directory"),
    ],
)
def test_wrong_command_lines_end_with_2(
    arguments: list[str], error: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on standard error says what to write instead."""
    assert run(["policy", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith(f"Error: {error}")


def test_a_test_says_the_line_of_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File, line and field; exit status 2."""
    (folder / "test.yaml").write_text(TEST.replace("expect: allowed", "expect: maybe"))
    assert run(["policy", "test", "test.yaml"]) == 2
    assert capsys.readouterr().err == (
        "Error: test.yaml:9: spec.expectations[0].expect: 'maybe' is not one of allowed, denied\n"
    )
