"""Tables of slots: shares, Maglev's table, and tables that change in few places."""

from collections import Counter
from itertools import pairwise

import pytest
from balancing_numbers import NEEDLESS
from hypothesis import given
from hypothesis import strategies as st

from controller.features import slots

WEIGHTS = st.lists(st.integers(0, 1000), max_size=40)


@given(WEIGHTS, st.integers(1, 300))
def test_shares_add_up_and_follow_the_weights(weights: list[int], total: int) -> None:
    """Weight 0 gets nothing, more weight never less, and every other weight gets a slot where there are enough."""
    given_ = slots.shares(weights, total)
    assert sum(given_) == (total if any(weights) else 0)
    present = [(weight, share) for weight, share in zip(weights, given_, strict=True) if weight]
    assert all(share == 0 for weight, share in zip(weights, given_, strict=True) if not weight)
    assert all(first[1] <= second[1] + 1 for first, second in pairwise(sorted(present)))
    if len(present) <= total:
        assert all(share >= 1 for _, share in present)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_shares_are_exact_to_one_slot_where_none_is_below_one(weights: list[int]) -> None:
    """Largest remainders: the difference to the exact share is below one slot."""
    for weight, share in zip(weights, slots.shares(weights, 256), strict=True):
        assert abs(share - weight * 256 / sum(weights)) < 1


@pytest.mark.parametrize(
    ("weights", "total", "expected"),
    [
        ([], 8, []),
        ([0, 0], 8, [0, 0]),
        ([1, 1, 1], 64, [22, 21, 21]),
        ([1, 2, 5], 8, [1, 2, 5]),
        ([1000, 1], 64, [63, 1]),
        ([1, 1, 1, 1000], 4, [1, 1, 1, 1]),
        ([9, 1, 1], 2, [1, 0, 1]),
        ([0, 3], 5, [0, 5]),
    ],
)
def test_shares_of_known_cases(weights: list[int], total: int, expected: list[int]) -> None:
    """Equal ones differ by one at most; a small weight keeps its one slot."""
    assert slots.shares(weights, total) == expected


def test_shares_of_ten_thousand_endpoints_are_no_burden() -> None:
    """Many endpoints with less than a slot each: the heavy ones give, not each in turn a search over all."""
    given_ = slots.shares([1000] * 100 + [1] * 9900, 65521)
    assert (sum(given_), set(given_[100:]), min(given_[:100])) == (65521, {1}, 556)


@pytest.mark.parametrize(("entries", "size"), [(1, 251), (83, 251), (84, 1021), (1365, 16381), (21840, 65521)])
def test_a_slot_table_is_a_prime_with_three_slots_for_each_entry(entries: int, size: int) -> None:
    """The largest has 65,521."""
    assert slots.table_size(entries) == size
    assert all(size % divisor for divisor in range(2, int(size**0.5) + 1))


def names(count: int) -> tuple[str, ...]:
    return tuple(f"10.244.{index // 250}.{index % 250 + 2}:80" for index in range(count))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 63, 65, 600, 10_000])
def test_maglevs_shares_differ_by_one_slot(count: int) -> None:
    """All take turns, so nobody is more than one ahead (Eisenbud et al., section 3.4)."""
    held = Counter(slots.maglev(names(count), slots.table_size(count)))
    assert set(held) == set(range(count))
    assert max(held.values()) - min(held.values()) <= 1


@pytest.mark.parametrize("count", NEEDLESS)
def test_when_an_endpoint_leaves_maglev_moves_little_more_than_its_slots(count: int) -> None:
    """The theoretical minimum is 1/n; the rest is what the turns of the others shift."""
    before, size = names(count), slots.table_size(count)
    table = slots.maglev(before, size)
    for gone in (0, count // 2, count - 1):
        rest = before[:gone] + before[gone + 1 :]
        after = slots.maglev(rest, size)
        moved = sum(before[one] != rest[other] for one, other in zip(table, after, strict=True))
        own = table.count(gone)
        assert own <= moved <= own + NEEDLESS[count] * size


@given(st.permutations(names(12)))
def test_maglevs_table_does_not_depend_on_the_order_of_names(shuffled: list[str]) -> None:
    """Nodes that list the endpoints in different orders choose alike."""
    usual = [names(12)[index] for index in slots.maglev(names(12), 251)]
    assert [shuffled[index] for index in slots.maglev(tuple(shuffled), 251)] == usual


KEYS = st.lists(st.integers(0, 30), max_size=30)


@pytest.mark.slow
@given(KEYS, st.lists(st.integers(0, 30), max_size=30, unique=True))
def test_a_carried_over_order_holds_everybody_once_and_changes_little(previous: list[int], present: list[int]) -> None:
    """Whoever was within the new length and stays has its place; so one that leaves costs two places at most."""
    table = slots.carried_over(previous, present)
    assert sorted(table) == sorted(present)
    first = {key: previous.index(key) for key in set(previous) & set(present)}
    moved = [key for key, place in first.items() if table.index(key) != place]
    assert all(first[key] >= len(present) for key in moved)


@given(st.lists(st.integers(), min_size=1, unique=True), st.data())
def test_one_that_leaves_costs_one_place_and_one_that_comes_none(previous: list[int], data: st.DataObject) -> None:
    """The last takes the free place; a new one is put behind."""
    gone = data.draw(st.sampled_from(previous))
    rest = [key for key in previous if key != gone]
    table = slots.carried_over(previous, rest)
    assert sum(one != other for one, other in zip(previous, table, strict=False)) <= 1
    fresh = max(previous) + 1
    assert slots.carried_over(previous, [fresh, *previous]) == [*previous, fresh]


def test_an_order_that_names_a_key_often_counts_its_first_place() -> None:
    """A Service that had Maglev's table before has each endpoint once after the change to `random`."""
    assert slots.carried_over([7, 8, 7, 7, 9, 8], [7, 8, 9]) == [7, 8, 9]


COUNTS = st.dictionaries(st.integers(0, 9), st.integers(0, 9), max_size=8)


@given(COUNTS)
def test_spread_gives_each_its_count(counts: dict[int, int]) -> None:
    """Who counts 0 gets no slot."""
    assert Counter(slots.spread(counts)) == Counter({key: count for key, count in counts.items() if count})


def test_spread_is_even() -> None:
    """Each key's slots are spread over the whole table."""
    assert "".join(slots.spread({"a": 4, "b": 2, "c": 1})) == "abacaba"


@pytest.mark.slow
@given(st.lists(st.integers(0, 9), max_size=40), st.lists(st.integers(0, 9), max_size=40))
def test_a_kept_table_changes_only_where_it_must(previous: list[int], other: list[int]) -> None:
    """The changes are exactly the slots that keys have too many; another size is made anew."""
    before, counts = Counter(previous), Counter(other)
    table = slots.kept(previous, counts)
    assert Counter(table) == counts
    if len(previous) == len(other):
        changed = sum(one != new for one, new in zip(previous, table, strict=True))
        assert changed == sum((before - counts).values())
    else:
        assert table == slots.spread(counts)
