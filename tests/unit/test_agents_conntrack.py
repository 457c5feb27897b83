"""Which connections a node forgets when pods go."""

from ipaddress import IPv4Address

import pytest

from agents.conntrack import Holders, forget

A, B = IPv4Address("10.244.1.2"), IPv4Address("10.244.2.2")


@pytest.mark.parametrize(
    ("before", "after", "departed"),
    [
        ({}, {"a": A}, set()),
        ({"a": A}, {"a": A}, set()),
        ({"a": A, "b": B}, {"b": B}, {A}),
        ({"a": A}, {"a": B}, {A}),
        # The address changes hands at once; before the old object has gone; and then the old object goes.
        ({"a": A}, {"new": A}, {A}),
        ({"a": A}, {"a": A, "new": A}, {A}),
        ({"a": A, "new": A}, {"new": A}, set()),
    ],
)
def test_an_addresss_connections_depart_with_its_pod(
    before: dict[str, IPv4Address], after: dict[str, IPv4Address], departed: set[IPv4Address]
) -> None:
    """Once per pod: at its end, or when the next pod gets the address."""
    holders = Holders()
    holders.change(before)
    assert holders.change({uid: after.get(uid) for uid in {*before, *after}}) == departed
    assert {uid: holders.address(uid) for uid in after} == after
    assert [holders.address(uid) for uid in before.keys() - after.keys()] == [None] * len(before.keys() - after.keys())


class Vswitchd:
    """Answers dump-conntrack and records the rest."""

    def __init__(self, dump: str) -> None:
        self.dump = dump
        self.flushed: list[tuple[str, ...]] = []

    def __call__(self, command: str, *arguments: str) -> str:
        if command == "dpctl/dump-conntrack":
            return self.dump
        assert command == "dpctl/flush-conntrack"
        self.flushed.append(arguments)
        return ""


def test_only_addresses_with_entries_are_flushed() -> None:
    """As source, as destination, and as the answering end behind a translation; .22 is not .2."""
    vswitchd = Vswitchd(
        "tcp,orig=(src=10.244.3.9,dst=10.96.0.10,sport=1,dport=80),reply=(src=10.244.1.2,dst=10.244.3.9,sport=80,dport=1)"
        ",zone=5\nudp,orig=(src=10.244.3.9,dst=10.244.2.22,sport=1,dport=2),reply=(src=10.244.2.22,dst=10.244.3.9)\n"
    )
    forget(vswitchd, {B, A})
    assert vswitchd.flushed == [("ct_nw_src=10.244.1.2",), ("ct_nw_dst=10.244.1.2",), ("", "ct_nw_src=10.244.1.2")]


def test_nothing_is_asked_when_nobody_went() -> None:
    """No pod went: the switch is left alone."""

    def unasked(*_: str) -> str:
        raise AssertionError

    forget(unasked, set())
