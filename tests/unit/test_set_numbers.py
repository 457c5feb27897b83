"""Ids of Services' sets of endpoints."""

from controller.features.balancing import MAX_SET_ID
from controller.set_numbers import SetNumbers


def test_a_set_keeps_its_id() -> None:
    """The first id is the wanted one, and it is the set's whatever is wanted later."""
    numbers = SetNumbers()
    assert numbers.number("shop/web|http", 7) == 7
    assert numbers.number("shop/web|http", 9) == 7
    assert (7 in numbers.taken, 9 in numbers.taken) == (True, False)


def test_two_sets_never_share_an_id() -> None:
    """A set whose hash is taken gets the next free id; after the last comes the first."""
    numbers = SetNumbers()
    assert [numbers.number(f"shop/{name}|http", MAX_SET_ID) for name in "abc"] == [MAX_SET_ID, 1, 2]
    assert [numbers.service(number) for number in (MAX_SET_ID, 1, 2, 3)] == ["shop/a", "shop/b", "shop/c", ""]


def test_ids_are_free_again_when_their_service_is_gone() -> None:
    """Only the ids of that Service are given back."""
    numbers = SetNumbers()
    for name, wanted in (("shop/a|http", 7), ("shop/a|https", 7), ("shop/b|http", 9)):
        numbers.number(name, wanted)
    assert numbers.forget("shop/a") == (7, 8)
    assert numbers.forget("shop/a") == ()
    assert [number in numbers.taken for number in (7, 8, 9)] == [False, False, True]
    assert numbers.number("shop/c|http", 7) == 7
