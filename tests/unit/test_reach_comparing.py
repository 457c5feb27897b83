"""Three answers to one question: when they agree, and which disagreement is told."""

from policyclusters import cluster, label, netpol, pod

from kubinet.cli import policychecking
from kubinet.cli.policywitnesses import Ask, can_be_sent
from kubinet.policies import Direction
from kubinet.policy import Oracle
from kubinet.reach.comparing import NOT_ASKED, Statement, Witness, compared, smallest, witness_grid
from kubinet.reach.matrix import Matrix, matrix
from kubinet.reach.probes import ICMP, Probe
from kubinet.reach.world import World, node_place, outside_place
from kubinet.state import Datapath
from kubinet.transport import Protocol

HTTP = Probe(Protocol.TCP, 80)


def table() -> Matrix:
    """x/a (n1) is isolated; x/b (n1) and x/c (n2) are free."""
    pods = [pod("x", "a", 1, 2), pod("x", "b", 1, 3), pod("x", "c", 2, 4)]
    state = cluster([netpol("p", label("pod", "a"), directions=frozenset({Direction.INGRESS}))], pods)
    places = tuple(World(state).pods())
    return matrix(Oracle(state), places, places, HTTP)


def told(found: Matrix, *different: tuple[str, str]) -> list[dict[Witness, Statement]]:
    """The walk says what the oracle says, the probe the opposite of some; where it is not sent it is not asked."""
    statements = []
    for source, destination in found.pairs():
        pair = (source.name, destination.name)
        said = found.judgements[pair].allowed
        probed = Statement(said is not (pair in different), "seen")
        statements.append({Witness.WALK: Statement(said, "walked"), Witness.PROBE: probed})
    return statements


def test_three_equal_answers_agree() -> None:
    """A witness that was not asked does not count; one that cannot tell does not agree."""
    found = table()
    assert all(one.agree for one in compared(found, told(found)))
    silent = [{**one, Witness.PROBE: NOT_ASKED} for one in told(found)]
    assert all(one.agree for one in compared(found, silent))
    assert smallest(compared(found, silent)) is None
    puzzled = [{**one, Witness.WALK: Statement(None, "no idea")} for one in told(found)]
    every = compared(found, puzzled)
    assert not any(one.agree for one in every)
    assert witness_grid(found, every, Witness.WALK).text().count("?") == 6


def test_the_smallest_disagreement_is_told() -> None:
    """Few policies first, then one node, then short names; with the words of all three."""
    found = table()
    every = compared(found, told(found, ("x/b", "x/a"), ("x/c", "x/b"), ("x/a", "x/b")))
    first = smallest(every)
    assert first is not None
    assert (first.source.name, first.destination.name) == ("x/a", "x/b")
    only = compared(found, told(found, ("x/c", "x/a"), ("x/b", "x/a")))
    text = policychecking.text([policychecking.Check(found, only)])
    assert text.endswith(
        "\n2 of 6 answers differ. The smallest:\n"
        "  x/b > x/a 80/TCP\n"
        "  oracle  denied: ingress: isolated for ingress by x/p; no rule allows it\n"
        "  walk    denied: walked\n"
        "  probe   allowed: seen\n"
    )
    assert not policychecking.agree([policychecking.Check(found, only)])


def test_what_was_not_probed_is_said() -> None:
    """The sum names how many answers have no real packet behind them."""
    found = table()
    silent = [{**one, Witness.PROBE: NOT_ASKED} for one in told(found)]
    assert policychecking.text([policychecking.Check(found, compared(found, silent))]).endswith(
        "\nAll agree on 6 answers.\n"
        "No real packets for 6 of them: from hosts outside, or SCTP on a datapath in userspace.\n"
    )


def test_real_packets_are_sent_where_they_can_tell_something() -> None:
    """Not from hosts outside, which have no route to pods; not SCTP where connections are known by addresses alone."""
    state = cluster((), [pod("x", "a", 1, 2)])
    (own,) = World(state).pods()
    node, host = node_place(state.nodes["n2"]), outside_place("internet", own.address)
    sctp = Probe(Protocol.SCTP, 9)
    assert can_be_sent(Ask(own, node, HTTP), Datapath.NETDEV)
    assert can_be_sent(Ask(node, own, ICMP), Datapath.NETDEV)
    assert not can_be_sent(Ask(host, own, HTTP), Datapath.NETDEV)
    assert not can_be_sent(Ask(node, own, sctp), Datapath.NETDEV)
    assert can_be_sent(Ask(node, own, sctp), Datapath.SYSTEM)
