"""The services' compiler with its memory: what changes costs, and what it forgets."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from clusters import node
from contents import Contents, contents, wanted
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.compile import Compiler, Programs
from controller.features import services as features
from controller.openflow.flow import Flow
from controller.pipeline import ENDPOINT_SLOT
from controller.program import Changes, differences
from kubinet.state import Algorithm, ClusterState, Endpoint, NetworkConfig, Overlay, Service, ServicePort, ServiceProxy
from kubinet.transport import Protocol

NODES = {f"n{index}": node(index) for index in (1, 2, 3)}
FIRST = IPv4Address("10.244.0.2")


def end(index: int, **options: object) -> Endpoint:
    """Endpoint number `index`, on one of the three nodes in turn."""
    return Endpoint(FIRST + index, 8080, f"n{index % 3 + 1}", **options)  # type: ignore[arg-type]


def service(name: str, endpoints: tuple[Endpoint, ...], number: int = 1, **options: object) -> Service:
    port = ServicePort("http", Protocol.TCP, 80, options.pop("node_port", None), endpoints)  # type: ignore[arg-type]
    return Service("d", name, IPv4Address("10.96.0.0") + number, (port,), **options)  # type: ignore[arg-type]


def cluster(*services: Service) -> ClusterState:
    return ClusterState(NetworkConfig(), NODES, {}, {one.key: one for one in services})


def compiled(compiler: Compiler, state: ClusterState) -> Mapping[str, Programs]:
    """Every node's programs; none may have failed."""
    made = {name: one for name, one in compiler.compile(state).items() if not isinstance(one, Exception)}
    assert made.keys() == state.nodes.keys()
    return made


def change(before: Mapping[str, Programs], after: Mapping[str, Programs], name: str, bridge: str = "br-int") -> Changes:
    return differences(before[name][bridge], after[name][bridge])


def unordered(held: Contents) -> object:
    """Contents without the order of slots: by set, how often each endpoint is in its table."""
    rest, slots = {}, Counter[object]()
    for bridge, (flows, groups) in held.items():
        kept = {key: flow for key, flow in flows.items() if not _slot(bridge, flow)}
        for flow in flows.values():
            if _slot(bridge, flow):
                slots[tuple(term for term in flow.match.terms if term.field.name != "reg2"), flow.actions] += 1
        rest[bridge] = kept, groups
    return rest, slots


def _slot(bridge: str, flow: Flow) -> bool:
    return bridge == "br-int" and flow.table == ENDPOINT_SLOT.number and bool(flow.match.terms)


@st.composite
def crowds(draw: st.DrawFn) -> ClusterState:
    """One or two Services whose endpoints are around the limits of groups and slot tables."""
    found = []
    for number in (1, 2)[: draw(st.integers(0, 2))]:
        start, count = draw(st.integers(0, 20)), draw(st.sampled_from([1, 2, 63, 64, 65, 84, 90]))
        hinted = draw(st.booleans())
        some = tuple(
            end(index, weight=index % 3, zones=frozenset({"ab"[index % 2]}) if hinted else frozenset())
            for index in range(start, start + count)
        )
        algorithm = draw(
            st.sampled_from([Algorithm.RANDOM, Algorithm.WEIGHTED, Algorithm.MAGLEV, Algorithm.ROUND_ROBIN])
        )
        options = {"node_port": draw(st.sampled_from([None, 30080])), "external_local": draw(st.booleans())}
        found.append(service("web", some, 1, algorithm=algorithm, **options) if number == 1 else service("db", some, 2))
    return cluster(*found)


@settings(max_examples=25, deadline=None)
@given(st.lists(crowds(), min_size=1, max_size=4))
def test_after_any_history_many_endpoints_are_compiled_as_if_new(history: list[ClusterState]) -> None:
    """But for the order of slots: each endpoint has as many as a fresh compiler gives it."""
    remembering = Compiler()
    for state in history:
        made = compiled(remembering, state)
        for name in state.nodes:
            assert unordered(contents(made[name])) == unordered(wanted(state, name))


def thousand(changed: Endpoint | None = None) -> list[Service]:
    some = [service(f"s{at}", tuple(end(3 * at + one) for one in range(3)), at + 1) for at in range(1000)]
    if changed is not None:
        one = some[500]
        some[500] = service("s500", (*one.ports[0].endpoints[:2], changed), 501)
    return some


def test_one_changed_endpoint_among_a_thousand_services_costs_two_flows_and_a_group() -> None:
    """On every node alike: the endpoint's own flow comes and goes, the group is replaced; no other layer is touched."""
    compiler, services = Compiler(), thousand()
    state = cluster(*services)
    before = compiled(compiler, state)
    changed = thousand(end(9000))[500]
    after = compiled(compiler, replace(state, services={**state.services, changed.key: changed}))
    for name in NODES:
        changes = change(before, after, name)
        assert (len(changes.add), len(changes.delete)) == (1, 1)
        assert (len(changes.put_groups), len(changes.delete_groups)) == (1, 0)
        assert after[name]["br-phy"] is before[name]["br-phy"]
        layers = zip(before[name]["br-int"].layers, after[name]["br-int"].layers, strict=True)
        assert [one is other for one, other in layers].count(False) == 1
    assert len({id(after[name]["br-int"].layers[2]) for name in NODES}) == 1


def test_an_unchanged_state_gives_the_same_programs() -> None:
    """Whoever compares does so by identity."""
    compiler, state = Compiler(), cluster(*thousand()[:20])
    before = compiled(compiler, state)
    after = compiled(compiler, replace(state, generation=9))
    assert all(after[name] is before[name] for name in NODES)


@pytest.mark.parametrize(
    ("algorithm", "flows"),
    [(Algorithm.RANDOM, 4), (Algorithm.HASH, 1), (Algorithm.WEIGHTED, 9), (Algorithm.MAGLEV, 30)],
)
@pytest.mark.parametrize("zones", [(), ("a", "b")], ids=["", "by zone"])
def test_one_endpoint_of_300_that_leaves_costs_each_node_few_flows(
    algorithm: Algorithm, flows: int, zones: tuple[str, ...]
) -> None:
    """Also where hints give each zone's nodes another set. Shown: slots' flows, the entry, the endpoint's own flow."""

    def some(gone: int | None) -> tuple[Endpoint, ...]:
        hints = [frozenset({zones[index % 2]}) if zones else frozenset[str]() for index in range(300)]
        return tuple(end(index, zones=hints[index]) for index in range(300) if index != gone)

    compiler = Compiler()
    before = compiled(compiler, cluster(service("web", some(None), algorithm=algorithm, node_port=30080)))
    for gone in (7, 150):
        after = compiled(compiler, cluster(service("web", some(gone), algorithm=algorithm, node_port=30080)))
        for name in NODES:
            changes = change(before, after, name)
            # From the second round on one endpoint comes back while the other leaves; node ports have an entry too.
            assert len(changes.add) + len(changes.delete) <= 2 * flows + 2
            assert len(changes.put_groups) <= 1
        before = after


def test_a_change_of_algorithm_leaves_no_trace_of_the_old_one() -> None:
    """From Maglev's table, where endpoints have several slots, to one slot for each."""
    compiler, some = Compiler(), tuple(map(end, range(70)))
    compiled(compiler, cluster(service("web", some, algorithm=Algorithm.MAGLEV)))
    made = compiled(compiler, cluster(service("web", some, algorithm=Algorithm.RANDOM)))
    flows, _ = contents(made["n1"])["br-int"]
    assert sum(_slot("br-int", flow) for flow in flows.values()) == 70


def ids(made: Mapping[str, Programs]) -> set[int]:
    return {group.id for group in made["n1"]["br-int"].groups()}


def test_two_sets_with_one_hash_get_different_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second takes the next free number and keeps it; both work, on all nodes alike."""
    monkeypatch.setattr(features, "backends_id", lambda _name: 0xFFFFFEFE)
    compiler, some = Compiler(), (end(1), end(2))
    a, b, c = (service(name, some, number) for number, name in enumerate("abc", 1))
    assert ids(compiled(compiler, cluster(a))) == {0xFFFFFEFE}
    made = compiled(compiler, cluster(a, b, c))
    assert ids(made) == {0xFFFFFEFE, 0xFFFFFEFF, 1}
    assert [group.owner.name for group in made["n2"]["br-int"].groups()] == ["a", "b", "c"]
    changed = compiled(compiler, cluster(replace(a, ports=(replace(a.ports[0], endpoints=(end(1), end(3))),)), b, c))
    assert ids(changed) == {0xFFFFFEFE, 0xFFFFFEFF, 1}
    for number, owner in ((0xFFFFFEFE, "a"), (0xFFFFFEFF, "b"), (1, "c")):
        backends = compiler.backends("n1", number)
        assert backends is not None
        assert (backends.id, backends.owner.name) == (number, owner)


@pytest.mark.parametrize("count", [1, 2, 3], ids=["one endpoint", "local set of one", "groups"])
def test_a_service_that_goes_leaves_its_ids_free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Also those of sets that needed no group, or were of single nodes: a controller that runs for long stays small."""
    monkeypatch.setattr(features, "backends_id", lambda _name: 50)
    compiler = Compiler()
    one = service("a", tuple(map(end, range(count))), 1, node_port=30080, external_local=True)
    compiled(compiler, cluster(one))
    compiled(compiler, cluster())
    assert ids(compiled(compiler, cluster(service("b", (end(8), end(9)), 2)))) == {50}


def test_whoever_lost_an_external_address_gets_it_when_the_winner_goes() -> None:
    """The address and port have one flow at a time."""
    address = IPv4Address("198.51.100.1")
    a = service("a", (end(1),), 1, external_ips=(address,))
    b = service("b", (end(2),), 2, external_ips=(address,))
    compiler = Compiler()

    def owner(*some: Service) -> str:
        made = contents(compiled(compiler, cluster(*some))["n1"])["br-int"][0]
        (name,) = {flow.owner.name for flow in made.values() if "nw_dst=198.51.100.1" in flow.to_text()}
        return name

    assert [owner(b), owner(a, b), owner(b)] == ["b", "a", "b"]


@pytest.mark.parametrize("overlay", list(Overlay))
@pytest.mark.parametrize("address", ["10.244.1.2", "10.244.200.7", "10.96.200.7"])
def test_an_external_address_of_the_clusters_own_networks_gets_no_flow(address: str, overlay: Overlay) -> None:
    """Neither a pod's packets nor a later Service's are taken; the Service's other addresses work."""
    one = service("web", (end(1),), external_ips=(IPv4Address(address), IPv4Address("198.51.100.1")))
    state = cluster(one)
    made = compiled(Compiler(), replace(state, network=replace(state.network, overlay=overlay)))
    for program in made["n1"].values():
        owned = [flow.to_text() for flow in program.flows() if flow.owner.kind == "Service"]
        assert not any(f"nw_dst={address}" in line for line in owned)
        assert any("nw_dst=198.51.100.1" in line for line in owned)


def test_sets_of_endpoints_say_whose_choice_they_are() -> None:
    """All nodes choose from the same endpoints; but by external traffic policy Local, each node from its own."""
    some = tuple(map(end, range(6)))
    compiler = Compiler()
    web = service("web", some, algorithm=Algorithm.ROUND_ROBIN, node_port=30080, external_local=True)
    compiled(compiler, cluster(web))
    for local, node_name in ((False, ""), (True, "n2")):
        number = features.backends_id(features.balancing.backends_name("d/web", "http", Protocol.TCP, local=local))
        found = compiler.backends("n2", number)
        assert found is not None
        assert found.node == node_name
        assert number in compiler.backends_numbers
    compiled(compiler, cluster())
    assert number not in compiler.backends_numbers


def test_a_service_whose_flows_can_be_made_again_is_no_failure_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The complaint ends with its cause; other Services never notice."""
    compiler, shared = Compiler(), features.shared_part

    def refuse(one: Service, *_: object, **options: object) -> object:
        if one.key == "d/bad" and len(one.ports[0].endpoints) == 1:
            raise ValueError("no")
        return shared(one, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "shared_part", refuse)
    good = service("good", (end(1),), 1)
    told = []
    for ends in ((end(2),), (end(2), end(3))):
        state = cluster(good, service("bad", ends, 2))
        compiled(compiler, state)
        told.append([(one.owner, one.reason) for one in compiler.complaints(state)])
    assert told == [[("Service/d/bad", "ServiceNotRealised")], []]


def test_services_of_the_kernel_change_no_program_unless_an_external_address_does() -> None:
    """Endpoints are the kernel's business, so bridges have nothing to do."""
    network = NetworkConfig(services=ServiceProxy.NFTABLES)
    compiler = Compiler()

    def programs(*ends: Endpoint, address: str = "198.51.100.1") -> Mapping[str, Programs]:
        one = service("web", ends, external_ips=(IPv4Address(address),))
        return compiled(compiler, replace(cluster(one), network=network))

    before = programs(end(1))
    assert all(programs(end(2))[name] is before[name] for name in NODES)
    changes = change(before, programs(end(2), address="198.51.100.2"), "n1")
    assert (len(changes.add), len(changes.delete)) == (1, 1)
    changes = change(programs(end(2)), programs(end(2), address="10.244.1.2"), "n1")
    assert (len(changes.add), len(changes.delete)) == (0, 1)


@pytest.mark.parametrize("at", NODES)
@pytest.mark.parametrize("other", [False, True], ids=["of the same port", "of another port"])
def test_an_external_address_of_a_node_and_a_node_port_make_each_flow_once(at: str, other: bool) -> None:
    """Whichever node it is: the audit counts flows, and one that two objects make would never come out right."""
    port = ServicePort("a", Protocol.TCP, 30080, 30081 if other else 30080, (end(1), end(2)))
    more = (ServicePort("b", Protocol.TCP, 80, 30080, (end(4),)),) if other else ()
    one = replace(service("web", (), external_ips=(NODES[at].underlay.ip,)), ports=(port, *more))
    for programs in compiled(Compiler(), cluster(one)).values():
        for program in programs.values():
            assert len(program.table()) == program.flow_count
        text = [flow.to_text() for flow in programs["br-int"].flows()]
        assert sum(f"nw_dst={NODES[at].underlay.ip},tcp_dst=30080" in line for line in text) == 2


@pytest.mark.parametrize("port", [4789, 80])
def test_no_service_takes_the_overlay_from_a_node(port: int) -> None:
    """A Service may name a node's address and the tunnel's port: the tunnel comes first; other ports are its own."""
    one = replace(
        service("web", (end(1),), external_ips=(NODES["n1"].underlay.ip,)),
        ports=(ServicePort("u", Protocol.UDP, port, None, (end(1),)),),
    )
    made = compiled(Compiler(), cluster(one))["n1"]["br-phy"]
    flows = [flow for flow in made.table().values() if f"udp_dst={port} " in flow.to_text()]
    assert max(flows, key=lambda flow: flow.priority).owner.kind == ("Node" if port == 4789 else "Service")
