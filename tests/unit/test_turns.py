"""Round-robin's turns: shared where the endpoints are, and forgotten with their Services."""

from ipaddress import IPv4Address

from controller.features.balancing import Backends
from controller.openflow.flow import Owner
from controller.turns import Turns
from kubinet.state import Algorithm, Endpoint
from kubinet.transport import Protocol

ENDS = tuple(Endpoint(IPv4Address(f"10.244.1.{last}"), 8080) for last in (2, 3))


def backends(number: int, node: str = "") -> Backends:
    owner = Owner("Service", "web", "default")
    return Backends(number, owner, Protocol.TCP, ENDS, Algorithm.ROUND_ROBIN, node=node)


def test_nodes_that_choose_from_the_same_endpoints_take_turns_together() -> None:
    """Whichever node asks, the next endpoint is the one after the last."""
    turns = Turns()
    assert [turns.next(backends(7)) for _ in range(4)] == [ENDS[0], ENDS[1], ENDS[0], ENDS[1]]


def test_each_node_goes_through_its_own_endpoints() -> None:
    """Clients that ask two nodes in alternation reach all endpoints of both."""
    turns = Turns()
    found = [turns.next(backends(7, node)) for _ in range(2) for node in ("n1", "n2")]
    assert found == [ENDS[0], ENDS[0], ENDS[1], ENDS[1]]


def test_turns_of_services_that_are_gone_are_forgotten() -> None:
    """The others go on where they were; a set that comes back begins anew."""
    turns = Turns()
    for number in (7, 8):
        assert turns.next(backends(number)) == ENDS[0]
    turns.keep({7})
    assert [turns.next(backends(number)) for number in (7, 8)] == [ENDS[1], ENDS[0]]
