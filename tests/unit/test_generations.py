"""What a published generation promises: pods, namespaces and policies up to it, and on whose nodes."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.generations import Completeness, everywhere, published
from kubinet.policies import (
    EVERYTHING,
    Action,
    BlockPeer,
    Direction,
    NamedPort,
    NodePeer,
    Peer,
    PodPeer,
    Policy,
    PortMatch,
    Rule,
    Tier,
)


def test_a_pod_waits_for_the_policy_that_was_there_before_it() -> None:
    """The policy of version 15 is on its way: a pod of version 20 is not promised until it has come."""
    complete = Completeness()
    assert complete.of(12, {"NetworkPolicy": 10, "Namespace": 3}, {"NetworkPolicy": 10, "Namespace": 3}) == (12, 10)
    assert complete.of(20, {"NetworkPolicy": 15, "Namespace": 3}, {"NetworkPolicy": 10, "Namespace": 3}) == (12, 10)
    assert complete.of(20, {"NetworkPolicy": 15, "Namespace": 3}, {"NetworkPolicy": 15, "Namespace": 3}) == (20, 15)


def test_kinds_that_never_change_hold_nobody_up() -> None:
    """The last namespace is of version 3, and the pod of version 900 is promised at once."""
    assert Completeness().of(900, {"Namespace": 3}, {"Namespace": 3}) == (900, 3)


def test_without_word_of_the_others_nothing_new_is_promised() -> None:
    """Between a list of pods and the watch that follows the promise stays, at what each copy says of itself."""
    complete = Completeness()
    assert complete.of(50, None, {"Namespace": 45}) == (45, 0)
    assert complete.of(50, {"Namespace": 40}, {"Namespace": 45}) == (50, 40)
    assert complete.of(80, None, {"Namespace": 45}) == (50, 40)


def test_a_copy_that_is_ahead_is_no_more_than_the_pods() -> None:
    """A policy that came before the pods' watch told of it: the pods' version counts."""
    assert Completeness().of(20, {"NetworkPolicy": 10}, {"NetworkPolicy": 30}) == (20, 10)


KINDS = ("Pod", "Namespace", "NetworkPolicy")


@dataclass
class Watched:
    """One kind's copy: the part of the log that it has seen, and what it takes for its version."""

    kind: str
    seen: int = 0
    version: int = 0
    changes: dict[str, int] | None = field(default=None)

    def advance(self, log: list[str], steps: int) -> None:
        """The watch delivers: of pods in the order of the log and with the others' changes in it."""
        for _ in range(steps):
            if self.seen == len(log):
                return
            self.seen += 1
            kind = log[self.seen - 1]
            if kind == self.kind:
                self.version = self.seen
            elif self.kind == "Pod" and self.changes is not None and kind in KINDS:
                self.changes[kind] = self.version = self.seen

    def list_again(self, log: list[str]) -> None:
        self.seen = self.version = len(log)
        self.changes = None

    def told(self, log: list[str]) -> None:
        """The first word of a watch after a list: it is after everything that is there."""
        self.advance(log, len(log))
        self.version = len(log)
        self.changes = {kind: last(log, kind, len(log)) for kind in KINDS[1:]}


def last(log: list[str], kind: str, until: int) -> int:
    return max((number for number in range(1, until + 1) if log[number - 1] == kind), default=0)


STEP = st.one_of(
    st.tuples(st.just("write"), st.sampled_from((*KINDS, "Event"))),
    st.tuples(st.sampled_from(("deliver", "list")), st.sampled_from(KINDS)),
    st.tuples(st.just("told"), st.just("Pod")),
)


@given(st.lists(STEP, max_size=60))
def test_a_promise_is_kept_in_every_order_of_deliveries(steps: list[tuple[str, str]]) -> None:
    """All changes up to the promised version are contained, it never goes back, and ends where everything is seen."""
    log: list[str] = []
    copies = {kind: Watched(kind) for kind in KINDS}
    complete, before = Completeness(), (0, 0)
    pods = copies["Pod"]

    def promise() -> tuple[int, int]:
        versions = {kind: copies[kind].version for kind in KINDS[1:]}
        return complete.of(pods.version, pods.changes, versions)

    for step, kind in steps:
        if step == "write":
            log.append(kind)
        elif step == "deliver":
            copies[kind].advance(log, 1)
        elif step == "list":
            copies[kind].list_again(log)
        else:
            pods.told(log)
        now = promise()
        for one in KINDS:
            assert last(log, one, now[0]) <= copies[one].seen
        for one in KINDS[1:]:
            assert last(log, one, now[1]) <= copies[one].seen
        assert now >= before
        assert now[1] >= before[1]
        before = now
    pods.told(log)
    for one in KINDS[1:]:
        copies[one].advance(log, len(log))
    assert promise() == (len(log), max((last(log, kind, len(log)) for kind in KINDS[1:]), default=0))


def _policy(tier: Tier, *rules: Rule) -> Policy:
    return Policy(
        "ClusterNetworkPolicy",
        "p",
        "",
        tier,
        PodPeer(EVERYTHING),
        frozenset(Direction),
        ingress=rules[:1],
        egress=rules[1:],
    )


PODS = PodPeer(EVERYTHING)
BLOCK = BlockPeer(IPv4Network("10.0.0.0/8"))


@pytest.mark.parametrize(
    ("peer", "action", "ports", "expected"),
    [
        (PODS, Action.DENY, None, True),
        (PODS, Action.PASS, None, True),
        (PODS, Action.ACCEPT, None, False),
        (BLOCK, Action.DENY, None, False),
        (NodePeer(EVERYTHING), Action.DENY, None, False),
        (BLOCK, Action.DENY, (NamedPort("web", None),), True),
        (BLOCK, Action.ACCEPT, (NamedPort("web", None),), False),
    ],
)
def test_rules_that_must_know_pods_wait_for_all_nodes(
    peer: Peer, action: Action, ports: tuple[PortMatch, ...] | None, expected: bool
) -> None:
    """What denies or passes by pods fails open on a node that does not know a pod; what accepts fails closed."""
    rule = Rule((peer,), ports, action)
    for rules in ((rule,), (Rule((BLOCK,)), rule)):
        for tier in (Tier.ADMIN, Tier.BASELINE):
            assert everywhere([_policy(tier, *rules)]) is expected
        assert everywhere([_policy(Tier.NAMESPACE, *rules)]) is False


def test_without_such_rules_each_node_speaks_for_itself() -> None:
    """A node without a connection has realised nothing."""
    assert published({"n1": 7, "n2": 5, "n3": None}, wait_for_all=False) == {"n1": 7, "n2": 5, "n3": 0}


def test_with_such_rules_the_slowest_connected_node_counts() -> None:
    """A node without a connection holds nobody up; one that is connected and has realised nothing does."""
    assert published({"n1": 7, "n2": 5, "n3": None}, wait_for_all=True) == {"n1": 5, "n2": 5, "n3": 0}
    assert published({"n1": 7, "n2": 0}, wait_for_all=True) == {"n1": 0, "n2": 0}
    assert published({}, wait_for_all=True) == {}
