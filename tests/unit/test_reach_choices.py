"""How people name places: every form, what it means in a cluster, and what is refused."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from policyclusters import cluster, netpol, pod

from kubinet.policies import BlockPeer, Direction, Rule
from kubinet.reach.choices import Behind, parse_choice, places, samples
from kubinet.reach.world import World

INTERNET = IPv4Address("192.0.2.9")


def world() -> World:
    """Namespaces x, y and z of team 1 or 2, with pods a (app=web), b (app=db, tier=1) and c."""
    pods = [
        pod("x", "a", 1, 2, app="web"),
        pod("x", "b", 2, 3, app="db", tier="1"),
        pod("y", "a", 1, 4, app="web"),
        pod("node", "a", 2, 5),
    ]
    state = cluster((), pods)
    return World(replace(state, namespaces={**state.namespaces, "node": {"team": "1"}}), {"internet": INTERNET})


def names(text: str) -> list[str]:
    return [place.name for place in places(parse_choice(text, "x"), world())]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("x/a", ["x/a"]),
        ("a", ["x/a"]),
        ("x/*", ["x/a", "x/b"]),
        ("*/a", ["node/a", "x/a", "y/a"]),
        ("?/[ab]", ["x/a", "x/b", "y/a"]),
        ("x/app=web", ["x/a"]),
        ("app=web", ["x/a"]),
        ("*/app=web", ["x/a", "y/a"]),
        ("x/app in (web, db)", ["x/a", "x/b"]),
        ("x/app in (web,db),!tier", ["x/a"]),
        ("x/app!=web", ["x/b"]),
        ("x/app notin (web)", ["x/b"]),
        ("x/tier,app", ["x/b"]),
        ("x/tier,app=db", ["x/b"]),
        ("ns=y/app=web", ["y/a"]),
        ("team=1/*", ["node/a"]),
        ("pod/node/a", ["node/a"]),
        ("node/n1", ["node/n1"]),
        ("node/*", ["node/n1", "node/n2"]),
        ("outside", ["outside/internet"]),
        ("outside/inter*", ["outside/internet"]),
        ("outside/moon", []),
        ("10.244.1.2", ["x/a"]),
        ("10.244.1.1", ["node/n1"]),
        ("192.0.2.9", ["outside/internet"]),
        ("198.51.100.0/24", ["198.51.100.0"]),
    ],
)
def test_a_text_means_places(text: str, meant: list[str]) -> None:
    """Names with wildcards, label selectors of pods and of namespaces, nodes, hosts outside, addresses, blocks."""
    assert names(text) == meant


def test_a_service_is_named_with_or_without_its_namespace() -> None:
    """`service/NS/NAME` and `service/NAME`."""
    assert parse_choice("service/shop/web") == Behind("shop", "web")
    assert parse_choice("service/web", "shop") == Behind("shop", "web")


def test_a_label_key_with_a_prefix_is_no_namespace() -> None:
    """`app.kubernetes.io/name=web` is a selector in the default namespace."""
    labelled = pod("x", "a", 1, 2, **{"app.kubernetes.io/name": "web"})
    found = places(parse_choice("app.kubernetes.io/name=web", "x"), World(cluster((), [labelled])))
    assert [place.name for place in found] == ["x/a"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names nothing"),
        ("x/", "names nothing"),
        ("/a", "names nothing"),
        ("x/app in web", "no label selector"),
        ("x/app==web==db", "no label selector"),
        ("x/app in (we b)", "no label selector"),
        ("service/a/b/c", "write service/NAMESPACE/NAME"),
        ("10.0.0.1/8", "no block of addresses"),
    ],
)
def test_what_means_nothing_is_refused(text: str, why: str) -> None:
    """The message says what to write."""
    with pytest.raises(ValueError, match=why):
        parse_choice(text)


def test_a_block_is_asked_about_where_answers_may_change() -> None:
    """One address for each part between the borders of policies' blocks, pods and nodes: no address is left out."""
    block = BlockPeer(IPv4Network("198.51.100.0/25"), (IPv4Network("198.51.100.64/30"),))
    policy = netpol("p", directions=frozenset({Direction.INGRESS}), ingress=[Rule((block,))])
    here = World(cluster([policy], [pod("x", "a", 1, 2)]))
    found = [str(address) for address in samples(IPv4Network("198.51.100.0/24"), here)]
    assert found == ["198.51.100.0", "198.51.100.64", "198.51.100.68", "198.51.100.128"]
    assert [str(address) for address in samples(IPv4Network("10.244.1.0/30"), here)] == [
        "10.244.1.0",
        "10.244.1.1",
        "10.244.1.2",
        "10.244.1.3",
    ]
