"""Addresses of a node's pods."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.ipam import AddressesExhaustedError, AddressPool

CIDR = IPv4Network("10.244.1.0/28")
"""13 pods: 10.244.1.2 to 10.244.1.14."""


def test_addresses_begin_after_the_gateway_and_end_before_broadcast() -> None:
    """A /28 gives .2 to .14 in order, then an error that names the pod CIDR and the remedy."""
    pool = AddressPool(CIDR)
    assert [str(pool.allocate(f"u{number}")) for number in range(13)] == [f"10.244.1.{host}" for host in range(2, 15)]
    with pytest.raises(AddressesExhaustedError, match=r"no free address in 10\.244\.1\.0/28: 13 pods .*delete pods"):
        pool.allocate("one more")


def test_a_pod_keeps_its_address() -> None:
    """Asking again for the same pod gives the same address."""
    pool = AddressPool(CIDR)
    assert pool.allocate("a") == pool.allocate("a") == IPv4Address("10.244.1.2")
    assert pool.address_of("a") == IPv4Address("10.244.1.2")
    assert pool.address_of("b") is None


def test_a_released_address_rests_until_all_others_were_given() -> None:
    """Addresses are given in turn; a released one comes again after the last of the pod CIDR."""
    pool = AddressPool(CIDR)
    for uid in "abcd":
        pool.allocate(uid)
    pool.release("b")
    given = [str(pool.allocate(f"e{number}")) for number in range(10)]
    assert given == [*(f"10.244.1.{host}" for host in range(6, 15)), "10.244.1.3"]


@pytest.mark.parametrize("address", ["10.244.1.0", "10.244.1.1", "10.244.1.15", "10.244.2.5", "0.0.0.0"])
def test_addresses_that_are_no_pods_cannot_be_claimed(address: str) -> None:
    """Network, gateway, broadcast and other nodes' addresses are refused after a restart."""
    assert not AddressPool(CIDR).claim("a", IPv4Address(address))


def test_an_address_is_claimed_by_one_pod_only() -> None:
    """The first claim holds; the owner may repeat it, another pod may not."""
    pool = AddressPool(CIDR)
    assert pool.claim("a", IPv4Address("10.244.1.2"))
    assert pool.claim("a", IPv4Address("10.244.1.2"))
    assert not pool.claim("b", IPv4Address("10.244.1.2"))
    assert pool.allocate("b") == IPv4Address("10.244.1.3")


_UIDS = st.sampled_from("abcdefghijklmnop")
_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("allocate"), _UIDS, st.none()),
        st.tuples(st.just("release"), _UIDS, st.none()),
        st.tuples(st.just("claim"), _UIDS, st.integers(0, 15)),
    )
)


@given(_OPERATIONS)
def test_no_address_is_ever_given_twice(operations: list[tuple[str, str, int | None]]) -> None:
    """Whatever is allocated, claimed and released: owners are distinct, and a free one is found while there is one."""
    pool = AddressPool(CIDR)
    model: dict[str, set[IPv4Address]] = {}
    for operation, uid, host in operations:
        taken = {address for held in model.values() for address in held}
        free = [CIDR[number] for number in range(2, 15) if CIDR[number] not in taken]
        if operation == "release":
            pool.release(uid)
            model.pop(uid, None)
        elif operation == "claim":
            assert host is not None
            others = {address for owner, held in model.items() if owner != uid for address in held}
            allowed = 2 <= host <= 14 and CIDR[host] not in others
            assert pool.claim(uid, CIDR[host]) == allowed
            if allowed:
                model.setdefault(uid, set()).add(CIDR[host])
        elif uid in model:
            assert pool.allocate(uid) in model[uid]
        elif free:
            given = pool.allocate(uid)
            assert given in free
            model[uid] = {given}
        else:
            with pytest.raises(AddressesExhaustedError):
                pool.allocate(uid)
    assert len(pool) == sum(len(held) for held in model.values())
