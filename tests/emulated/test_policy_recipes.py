"""Recipes for NetworkPolicies, each with real packets for what it promises: policies of our own, and collected ones."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from logtrouble import trouble_in_logs
from policylab import PolicyLab
from policyprobes import Probe
from policyrecipes import RECIPES, WORLD, Recipe
from servicelab import service

from kubinet.client import Object
from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

COLLECTED = Path(__file__).resolve().parents[3] / "shared" / "manifests" / "network-policy-recipes"
PUBLISHED = [recipe for recipe in RECIPES if recipe.files]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyLab]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with Cluster("star", nodes=2, settings={"network.dnsReplicas": 0}) as cluster:
            front = service("web", {"app": "web"}, type="LoadBalancer", ports=[{"port": 80}])
            cluster.client.create({**front, "metadata": {"name": "web", "namespace": "default"}})
            with contextlib.closing(PolicyLab(cluster, WORLD)) as made:
                made.addresses["balancer"] = _balancer(cluster)
                yield made
            assert list(trouble_in_logs(cluster.info.state_dir / "logs")) == []


def _balancer(cluster: Cluster) -> str:
    def assigned(obj: Object | None) -> bool:
        return bool(obj and obj.get("status", {}).get("loadBalancer", {}).get("ingress"))

    obj = cluster.wait_until("Service", "web", assigned, namespace="default", what="an address")
    return str(obj["status"]["loadBalancer"]["ingress"][0]["ip"])


def _probe(lab: PolicyLab, line: str, arrives: bool) -> Probe:
    source, _, destination, text = line.split()
    port, _, protocol = text.partition("/")
    via = (lab.addresses["balancer"], int(port)) if source == "out" else None
    ends = [
        lab.addresses["outside/host" if name == "out" else name if "/" in name else f"default/{name}"]
        for name in (source, destination)
    ]
    return Probe(*ends, int(port), protocol, arrives, via)


def _wrong(lab: PolicyLab, recipe: Recipe, *, closed: bool) -> list[str]:
    lines = [*recipe.connects, *recipe.silent]
    probes = [_probe(lab, line, not closed or line in recipe.connects) for line in lines]
    return [f"{lines[index]}: {said}" for index, said in lab.wrong(probes)]


def _check(lab: PolicyLab, recipe: Recipe, *manifests: str | Path) -> None:
    """Everything connects before and afterwards; meanwhile, what the recipe says."""
    for manifest in manifests:
        lab.cluster.apply(manifest)
    lab.cluster.wait_realised()
    during = _wrong(lab, recipe, closed=True)
    for manifest in manifests:
        lab.cluster.delete(manifest)
    lab.cluster.wait_realised()
    assert (during, _wrong(lab, recipe, closed=False)) == ([], [])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_recipe(lab: PolicyLab, recipe: Recipe) -> None:
    """What the recipe allows connects, what it denies is silent; without its policies everything connects."""
    _check(lab, recipe, recipe.own)


@pytest.mark.parametrize("recipe", PUBLISHED, ids=lambda recipe: recipe.name)
def test_recipe_as_collected(lab: PolicyLab, recipe: Recipe) -> None:
    """The collection's own files, unmodified, do what their text promises."""
    if not COLLECTED.is_dir():
        pytest.skip("shared/manifests/network-policy-recipes is not beside the checkout")
    _check(lab, recipe, *(COLLECTED / name for name in recipe.files))


def test_every_collected_recipe_is_tested() -> None:
    """Each file of the collection belongs to a recipe; there are 14 recipes."""
    assert len({recipe.name.split()[0] for recipe in RECIPES}) == 14
    if not COLLECTED.is_dir():
        pytest.skip("shared/manifests/network-policy-recipes is not beside the checkout")
    named = {name for recipe in RECIPES for name in recipe.files}
    assert {path.name for path in COLLECTED.glob("*.yaml")} == named
