"""Truth tables and differences: what is asked, and how it looks."""

from dataclasses import replace

from policyclusters import BOTH, cluster, label, netpol, pod

from kubinet.policies import EVERYTHING, Direction, PodPeer, PortRange, Rule
from kubinet.policy import Oracle
from kubinet.reach.differences import Side, difference
from kubinet.reach.grid import beside
from kubinet.reach.matrix import Matrix, declared_probes, matrix
from kubinet.reach.probes import ICMP, Probe
from kubinet.reach.world import World, node_place
from kubinet.state import ClusterState
from kubinet.transport import Protocol

HTTP = Probe(Protocol.TCP, 80)
PODS = [pod("x", "a", 1, 2), pod("x", "b", 2, 3), pod("y", "c", 1, 4)]


def only_b(port: int = 80) -> ClusterState:
    """x/a admits x/b on one port and nobody else."""
    rule = Rule((PodPeer(None, label("pod", "b")),), (PortRange(Protocol.TCP, port, port),))
    policy = netpol("p", label("pod", "a"), directions=frozenset({Direction.INGRESS}), ingress=[rule])
    return cluster([policy], PODS)


def table(state: ClusterState, probe: Probe = HTTP) -> Matrix:
    everybody = tuple(World(state).pods())
    return matrix(Oracle(state), everybody, everybody, probe)


def test_the_table_has_policy_assistants_layout() -> None:
    """Sources on the left, a line between namespaces, `.` allowed, `X` denied, `#` the pod itself."""
    assert table(only_b()).grid().text() == (
        "+--------+-----+-----+-----+\n"
        "| 80/TCP | x/a | x/b | y/c |\n"
        "+--------+-----+-----+-----+\n"
        "| x/a    | #   | .   | .   |\n"
        "| x/b    | .   | #   | .   |\n"
        "+--------+-----+-----+-----+\n"
        "| y/c    | X   | .   | #   |\n"
        "+--------+-----+-----+-----+\n"
    )


def test_policies_say_nothing_between_two_that_are_no_pods() -> None:
    """The cell of two nodes is empty; a node reaches its own pods only."""
    state = cluster([netpol("deny", EVERYTHING, directions=BOTH)], PODS)
    nodes = [node_place(node) for node in state.nodes.values()]
    found = matrix(Oracle(state), nodes, [*World(state).pods(), *nodes], HTTP)
    assert found.grid().text() == (
        "+---------+-----+-----+-----+---------+---------+\n"
        "| 80/TCP  | x/a | x/b | y/c | node/n1 | node/n2 |\n"
        "+---------+-----+-----+-----+---------+---------+\n"
        "| node/n1 | .   | X   | .   | #       |         |\n"
        "| node/n2 | X   | .   | .   |         | #       |\n"
        "+---------+-----+-----+-----+---------+---------+\n"
    )


def test_tables_stand_beside_each_other_where_there_is_room() -> None:
    """Under their titles; else one by one."""
    small = table(cluster((), PODS[:1])).grid()
    assert beside([("oracle", small), ("walk", small)], 34) == (
        "oracle            walk\n"
        "+--------+-----+  +--------+-----+\n"
        "| 80/TCP | x/a |  | 80/TCP | x/a |\n"
        "+--------+-----+  +--------+-----+\n"
        "| x/a    | #   |  | x/a    | #   |\n"
        "+--------+-----+  +--------+-----+\n"
    )
    assert beside([("oracle", small), ("walk", small)], 33) == f"oracle\n{small.text()}\nwalk\n{small.text()}"


def test_the_ports_are_those_that_containers_declare() -> None:
    """Sorted by protocol and number; 80/TCP where nothing is declared."""
    state = cluster((), PODS)
    world = World(state, ports={"x/a": ((53, "UDP"), (8080, "TCP")), "x/b": ((80, "TCP"),)})
    assert list(map(str, declared_probes(world, list(world.pods())))) == ["80/TCP", "8080/TCP", "53/UDP"]
    assert declared_probes(World(state), list(world.pods())) == [HTTP]


def side(state: ClusterState) -> Side:
    places = list(World(state).pods())
    return Side(World(state), places, places)


def test_a_difference_names_pairs_ports_and_the_reason_now() -> None:
    """The port moves from 80 to 81: one pair loses the one and gains the other."""
    found = difference(side(only_b(80)), side(only_b(81)))
    assert found.pairs == 6
    assert [(one.source, one.destination, list(map(str, one.ports)), one.allowed) for one in found.changes] == [
        ("x/b", "x/a", ["80/TCP"], False),
        ("x/b", "x/a", ["81/TCP"], True),
    ]
    assert (
        found.changes[0].before
        == "ingress: isolated for ingress by x/p; allowed by x/p rule 0: peer pod=b, port 80/TCP"
    )
    assert found.changes[0].after == (
        "ingress: isolated for ingress by x/p; no rule allows it: x/p rule 0 allows the peer port 81/TCP, not 80/TCP"
    )


def test_a_new_policy_changes_every_port() -> None:
    """Isolation is for all protocols and for what has no ports."""
    found = difference(side(cluster((), PODS)), side(only_b()))
    told = {(one.source, one.destination): one for one in found.changes}
    assert set(told) == {("x/b", "x/a"), ("y/c", "x/a")}
    assert ICMP.protocol in {span.protocol for span in told["y/c", "x/a"].ports}
    assert HTTP not in {span.probe for span in told["x/b", "x/a"].ports}


def test_places_of_one_side_only_are_named() -> None:
    """They are not compared."""
    state = only_b()
    fewer = replace(state, pods={key: one for key, one in state.pods.items() if key != "y/c"})
    found = difference(side(fewer), side(state))
    assert (found.pairs, found.changes, found.gone, found.come) == (2, (), (), ("y/c",))
