"""The nftables baseline's rules: one Service in full, and any history of Services ends where a fresh load ends."""

import sys
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.nft.compile import fragment, place
from agents.nft.ruleset import Ruleset
from agents.nft.text import Commands
from kubinet.services import clashes, lost_fronts
from kubinet.state import Endpoint, NetworkConfig, Node, Service, ServicePort
from kubinet.transport import Protocol

sys.path.insert(0, str(Path(__file__).parent))
from nftmodel import Table

NODE = Node("n1", 1, IPv4Interface("172.18.0.1/24"), "06:00:00:00:00:01", IPv4Network("10.244.1.0/24"))
NETWORK = NetworkConfig()
SOURCES = (None, *map(IPv4Address, ("10.244.3.9", "10.1.2.3", "192.0.2.1")))


def _service(number: int, *hosts: int, **more: object) -> Service:
    """Hosts 1 to 3 are on nodes of these numbers, as are 4 to 6, and so on."""
    places = [((host - 1) % 3 + 1, (host - 1) // 3 + 5) for host in hosts]
    endpoints = tuple(Endpoint(IPv4Address(f"10.244.{node}.{last}"), 8080, node=f"n{node}") for node, last in places)
    port = ServicePort("", Protocol.TCP, 80, 30000 + number, endpoints)
    return Service("shop", f"s{number}", IPv4Address(f"10.96.0.{number}"), (port,), **more)  # type: ignore[arg-type]


def _at_once(commands: Commands) -> str:
    (text,) = commands.transactions()
    return text


def _follow(table: Table, texts: list[str]) -> None:
    """Carry out an update. Every transaction leaves what serves: rules end with a verdict, and connections that have
    endpoints before the first and after the last have such in between. The node's pods reach themselves."""
    before, steps = table.answers(SOURCES), []
    for text in texts:
        table.apply(text)
        steps.append(table.answers(SOURCES))
        ends = {end.partition(":")[0].split()[-1] for found in steps[-1].values() for end in found if "dnat" in end}
        here = {end for end in ends if IPv4Address(end) in NODE.pod_cidr}
        assert {f"{end} . {end}" for end in here} <= table.collections["hairpin"].keys()
    either = {end for answers in (before, *steps[-1:]) for ends in answers.values() for end in ends if "dnat" in end}
    for step in steps:
        assert not [front for front, ends in step.items() if "" in ends]
        for front, ends in before.items():
            if ends | steps[-1].get(front, {""}) <= either:
                assert step.get(front, {""}) <= either, front


def test_a_service_in_full() -> None:
    """Two endpoints, one of them here: chains, the numbered endpoints, and what the shared maps get."""
    found = fragment(_service(7, 1, 2), NODE, NETWORK)
    assert found.chains == {
        "ep/shop/s7/tcp/80/10.244.1.5/8080": ("meta l4proto tcp dnat to 10.244.1.5:8080",),
        "ep/shop/s7/tcp/80/10.244.2.5/8080": ("meta l4proto tcp dnat to 10.244.2.5:8080",),
        "pick/shop/s7/tcp/80": ("numgen random mod 2 vmap @pick/shop/s7/tcp/80/by-number",),
        "in/shop/s7/tcp/80": ("ip saddr != 10.244.0.0/16 jump masquerade-it", "goto pick/shop/s7/tcp/80"),
        "ext/shop/s7/tcp/80": ("jump masquerade-it", "goto pick/shop/s7/tcp/80"),
    }
    assert {name: one.elements for name, one in found.collections.items()} == {
        "pick/shop/s7/tcp/80/by-number": {
            "0": "goto ep/shop/s7/tcp/80/10.244.1.5/8080",
            "1": "goto ep/shop/s7/tcp/80/10.244.2.5/8080",
        }
    }
    assert found.shared == {
        ("cluster-ips", "10.96.0.7"): "",
        ("hairpin", "10.244.1.5 . 10.244.1.5"): "",
        ("services", "10.96.0.7 . tcp . 80"): "goto in/shop/s7/tcp/80",
        ("node-ports", "tcp . 30007"): "goto ext/shop/s7/tcp/80",
    }


@pytest.mark.parametrize("address", ["10.244.9.9", "10.96.200.7"])
def test_an_external_address_of_the_clusters_own_networks_has_no_rule(address: str) -> None:
    """The rules are those of the Service without it: what is sent to pods or other Services is theirs."""
    own = (IPv4Address("198.51.100.1"),)
    named = fragment(_service(1, 2, 3, external_ips=(*own, IPv4Address(address))), NODE, NETWORK)
    assert named == fragment(_service(1, 2, 3, external_ips=own), NODE, NETWORK)


def test_other_ports_of_a_hosts_address_are_the_hosts() -> None:
    """An external address of the underlay or of the management network is not closed beside the Service's port."""
    addresses = tuple(map(IPv4Address, ("198.51.100.1", "172.18.0.2", "172.30.0.1")))
    found = fragment(_service(1, 2, external_ips=addresses), NODE, NETWORK)
    closed = {element for name, element in found.shared if name == "external-addresses"}
    served = {element for name, element in found.shared if name == "services"}
    assert closed == {"198.51.100.1"}
    assert served == {"10.96.0.1 . tcp . 80", *(f"{address} . tcp . 80" for address in addresses)}


def test_an_address_that_another_service_has_gets_no_rule() -> None:
    """The balancer's address is the one's who was allocated it, also when it has no endpoint; later the other's."""
    address = IPv4Address("172.31.0.1")
    claims, owner = _service(1, 2, external_ips=(address,)), _service(2, load_balancer_ips=(address,))
    rules, table = Ruleset(NODE, NETWORK), Table()
    both = {claims.key: claims, owner.key: owner}
    table.apply(_at_once(rules.update(both, lost_fronts(clashes(both)))))
    key = f"{address} . tcp . 80"
    assert table.collections["refused"][key] == "goto reject-it"
    assert key not in table.collections["services"]
    table.apply(_at_once(rules.update({claims.key: claims}, {})))
    assert key not in table.collections["refused"]
    assert table.collections["services"][key] == "goto ext/shop/s1/tcp/80"


def test_affinity_remembers_clients_by_endpoint() -> None:
    """A set of clients per endpoint, asked before the choice and renewed by each new connection."""
    found = fragment(_service(7, 2, affinity_seconds=60), NODE, NETWORK)
    clients, end = "clients-60-ep/shop/s7/tcp/80/10.244.2.5/8080", "ep/shop/s7/tcp/80/10.244.2.5/8080"
    assert found.chains[end][0] == f"update @{clients} {{ ip saddr }}"
    (choosing,) = (rules for name, rules in found.chains.items() if name.startswith("pick/shop/s7/tcp/80/"))
    assert choosing == (f"ip saddr @{clients} goto {end}", f"goto {end}")
    assert found.collections[clients].definition == "type ipv4_addr; flags dynamic,timeout; timeout 60s;"


def test_with_affinity_every_piece_of_a_long_change_serves() -> None:
    """Three hundred endpoints, one of them replaced, in pieces that an ordinary user's kernel takes."""

    def service(*numbers: int) -> dict[str, Service]:
        endpoints = tuple(Endpoint(IPv4Address(0x0AF40200 + number), 80, node="n2") for number in numbers)
        port = ServicePort("", Protocol.TCP, 80, 30001, endpoints)
        return {"shop/s1": Service("shop", "s1", IPv4Address("10.96.0.1"), (port,), affinity_seconds=60)}

    table, rules = Table(), Ruleset(NODE, NETWORK)
    table.apply(_at_once(rules.update(service(*range(300)))))
    texts = rules.update(service(*range(200), *range(201, 301))).transactions(35_498)
    assert len(texts) > 1
    _follow(table, texts)
    assert IPv4Address(0x0AF40200 + 200).compressed not in str(table)


@pytest.mark.parametrize(
    ("before", "after", "limit"), [((2,), (1, 2), 150), ((1, 2, 3), (2, 3), 220)], ids=["a pod comes", "a pod goes"]
)
def test_a_pod_that_may_be_chosen_can_reach_itself(before: tuple[int, ...], after: tuple[int, ...], limit: int) -> None:
    """Also between the transactions of a change: its address is in the set of those whose source is replaced."""
    table, rules = Table(), Ruleset(NODE, NETWORK)
    table.apply(_at_once(rules.update({"shop/s7": _service(7, *before)})))
    texts = rules.update({"shop/s7": _service(7, *after)}).transactions(limit)
    assert len(texts) > 3
    _follow(table, texts)


def test_source_ranges_are_a_set_that_pieces_fill() -> None:
    """Three thousand of them, in pieces that an ordinary user's kernel takes; one rule asks the set."""
    ranges = tuple(IPv4Network((0x0A000000 + number * 512, 24)) for number in range(3000))
    balanced = _service(1, 2, load_balancer_ips=(IPv4Address("172.31.0.1"),), source_ranges=ranges)
    table = Table()
    for text in Ruleset(NODE, NETWORK).update({balanced.key: balanced}).transactions(35_498):
        assert len(text) <= 35_498
        table.apply(text)
    (name,) = (name for name in table.collections if name.startswith("ranges/shop/s1/"))
    assert table.chains["from/shop/s1/tcp/80"] == [f"ip saddr @{name} goto ext/shop/s1/tcp/80", "drop"]
    assert table.definitions[name] == "{ type ipv4_addr; flags interval; }"
    assert list(table.collections[name]) == [str(one) for one in ranges]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (_service(7), {"10.96.0.7 . tcp . 80": "goto reject-it"}),
        (_service(7, 2, internal_local=True), {"10.96.0.7 . tcp . 80": "drop"}),
        (_service(7, internal_local=True), {"10.96.0.7 . tcp . 80": "goto reject-it"}),
        (_service(7, 2), {}),
    ],
    ids=["no endpoint", "only elsewhere with policy Local", "none with policy Local", "one"],
)
def test_what_becomes_of_a_cluster_ip_without_endpoints(service: Service, expected: dict[str, str]) -> None:
    """Refused where there is no endpoint anywhere, silence where a policy keeps this node from them."""
    found = fragment(service, NODE, NETWORK)
    assert {key: value for (name, key), value in found.shared.items() if name == "refused"} == expected


def test_one_changed_endpoint_of_a_thousand_is_a_handful_of_commands() -> None:
    """An endpoint replaced: its chain goes, the new one comes, its number changes; nothing else is touched."""
    hosts = [IPv4Address("10.244.4.0") + number for number in range(1000)]

    def service(addresses: list[IPv4Address]) -> dict[str, Service]:
        endpoints = tuple(Endpoint(address, 80, node="n2") for address in sorted(addresses))
        port = ServicePort("", Protocol.TCP, 80, None, endpoints)
        return {"shop/s1": Service("shop", "s1", IPv4Address("10.96.0.1"), (port,))}

    rules = Ruleset(NODE, NETWORK)
    rules.update(service(hosts))
    new = [*hosts[:500], *hosts[501:], IPv4Address("10.244.9.9")]
    assert _at_once(rules.update(service(new))).splitlines() == [
        "add chain ip kubinet ep/shop/s1/tcp/80/10.244.9.9/80",
        "add rule ip kubinet ep/shop/s1/tcp/80/10.244.9.9/80 meta l4proto tcp dnat to 10.244.9.9:80",
        "delete element ip kubinet pick/shop/s1/tcp/80/by-number { 500 : goto ep/shop/s1/tcp/80/10.244.5.244/80 }",
        "add element ip kubinet pick/shop/s1/tcp/80/by-number { 500 : goto ep/shop/s1/tcp/80/10.244.9.9/80 }",
        "flush chain ip kubinet ep/shop/s1/tcp/80/10.244.5.244/80",
        "delete chain ip kubinet ep/shop/s1/tcp/80/10.244.5.244/80",
    ]
    assert rules.update(service(new)) == Commands()


def test_only_what_rules_depend_on_in_a_node_changes_them() -> None:
    """Labels and the gateway's MAC: nothing; the zone: the Services with hints for zones; the address: the table."""
    ends = [Endpoint(IPv4Address(f"10.244.{n}.5"), 80, node=f"n{n}", zones=frozenset({f"z{n}"})) for n in (2, 3)]
    hinted = Service("shop", "s9", IPv4Address("10.96.0.9"), (ServicePort("", Protocol.TCP, 80, None, tuple(ends)),))
    state = {"shop/s1": _service(1, 1, 2, affinity_seconds=60), "shop/s9": hinted}
    rules = Ruleset(NODE, NETWORK)
    rules.update(state)
    rules.move(
        replace(NODE, labels={"disk": "fast"}, gateway=IPv4Address("172.18.0.254"), gateway_mac="06:00:00:00:00:fe")
    )
    assert rules.update(state) == Commands()
    rules.move(replace(NODE, zone="z2"))
    assert _at_once(rules.update(state)).splitlines() == [
        "flush chain ip kubinet pick/shop/s9/tcp/80",
        "add rule ip kubinet pick/shop/s9/tcp/80 goto ep/shop/s9/tcp/80/10.244.2.5/80",
        "flush chain ip kubinet ep/shop/s9/tcp/80/10.244.3.5/80",
        "delete map ip kubinet pick/shop/s9/tcp/80/by-number",
        "delete chain ip kubinet ep/shop/s9/tcp/80/10.244.3.5/80",
    ]
    rules.move(replace(NODE, zone="z2", underlay=IPv4Interface("172.18.0.9/24")))
    assert "ip daddr 172.18.0.9 meta l4proto . th dport vmap @node-ports\n" in _at_once(rules.update(state))


def test_unchanged_services_are_not_said_again() -> None:
    """The same values: no command."""
    state = {"shop/s1": _service(1, 1, 2)}
    rules = Ruleset(NODE, NETWORK)
    assert _at_once(rules.update(state)).startswith("add table ip kubinet\ndelete table ip kubinet\n")
    assert rules.update(dict(state)) == Commands()


@given(st.lists(st.integers(0, 9), unique=True), st.lists(st.integers(0, 9), unique=True))
def test_endpoints_keep_their_numbers(before: list[int], after: list[int]) -> None:
    """Numbers are 0 to n-1, each endpoint once; who stays below n keeps its number."""
    old = place((), [str(one) for one in before])
    new = place(old, [str(one) for one in after])
    assert sorted(new) == sorted(str(one) for one in after)
    for number, one in enumerate(old[: len(new)]):
        if int(one) in after:
            assert new[number] == one


RANGES = ("10.0.0.0/8", "10.1.0.0/16"), ("10.1.0.0/16", "192.0.2.0/24")
_SERVICES = st.builds(
    lambda number, hosts, **more: _service(number, *sorted(hosts), **more),
    st.integers(1, 4),
    st.sets(st.integers(1, 6)),
    internal_local=st.booleans(),
    external_local=st.booleans(),
    affinity_seconds=st.sampled_from([None, 60, 100]),
    load_balancer_ips=st.sampled_from([(), (IPv4Address("172.31.0.1"),)]),
    source_ranges=st.sampled_from([(), *(tuple(map(IPv4Network, some)) for some in RANGES)]),
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(_SERVICES, max_size=4), min_size=1, max_size=5), st.sampled_from([None, 700]))
def test_any_history_ends_where_a_fresh_load_ends(states: list[list[Service]], limit: int | None) -> None:
    """Every transaction is accepted and leaves what serves, however short; the end has the same rules."""
    table, rules = Table(), Ruleset(NODE, NETWORK)
    last: dict[str, Service] = {}
    for state in states:
        last = {service.key: service for service in state}
        _follow(table, rules.update(last).transactions(limit))
    fresh = Table()
    fresh.apply(_at_once(Ruleset(NODE, NETWORK).update(last) if last else rules.reload()))
    assert table.chains == fresh.chains
    assert table.definitions == fresh.definitions
    assert {name: sorted(_unnumbered(name, elements)) for name, elements in table.collections.items()} == {
        name: sorted(_unnumbered(name, elements)) for name, elements in fresh.collections.items()
    }


def test_long_changes_are_several_transactions() -> None:
    """Each is at most as long as the kernel takes, but for a line that is longer; together they are the whole."""
    commands = Commands(before=("12345\n", "6789\n", "abc\n"), switch=("de\nfg\n",), after=("flush\nadd\nadd\n",))
    assert commands.transactions(1000) == ["12345\n6789\nabc\nde\nfg\nflush\nadd\nadd\n"]
    assert commands.transactions(11) == ["12345\n6789\n", "abc\n", "de\nfg\n", "flush\nadd\n", "add\n"]
    assert Commands().transactions(11) == []


def test_what_changes_at_once_fits_with_the_longest_names() -> None:
    """All endpoints replaced: no group is longer than what an ordinary user's kernel takes."""

    def service(third: int) -> Service:
        addresses = [IPv4Address(f"198.118.{third + number // 100}.{100 + number % 100}") for number in range(300)]
        endpoints = [Endpoint(address, 65535) for address in addresses]
        port = ServicePort("", Protocol.SCTP, 65535, None, tuple(endpoints))
        return Service("n" * 63, "s" * 63, IPv4Address("10.96.0.1"), (port,))

    rules = Ruleset(NODE, NETWORK)
    rules.update({"one": service(100)})
    assert max(map(len, rules.update({"one": service(200)}).switch)) <= 35_498


def _unnumbered(name: str, elements: dict[str, str]) -> list[tuple[str, str]]:
    """Which endpoint has which number depends on the history, on purpose."""
    if not name.endswith("/by-number"):
        return list(elements.items())
    assert sorted(map(int, elements)) == list(range(len(elements)))
    return [("", value) for value in elements.values()]
