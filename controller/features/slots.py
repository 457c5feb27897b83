"""Tables of slots: which endpoint serves which slot of a hash. Pure, and the same on every node."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import Final, TypeVar

_Key = TypeVar("_Key", bound=Hashable)

SIZES: Final = (251, 1021, 4093, 16381, 65521)
"""Primes: sizes of slot tables. The first that gives every entry three slots or more is taken."""
_SLOTS_PER_ENTRY: Final = 3


def table_size(entries: int) -> int:
    """The slot table's size for a number of entries; the largest one for more than a third of it."""
    return next((size for size in SIZES if size >= _SLOTS_PER_ENTRY * entries), SIZES[-1])


def shares(weights: Sequence[int], total: int) -> list[int]:
    """`total` slots in proportion to the weights, by largest remainders; a weight above 0 gets one where possible."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    given = [max(1, weight * total // whole) if weight else 0 for weight in weights]
    present = [index for index, weight in enumerate(weights) if weight]
    # How much each has above its exact share, in parts of `whole`; the first of equals comes first.
    above = {index: given[index] * whole - weights[index] * total for index in present}
    spare = total - sum(given)
    for index in sorted(present, key=above.__getitem__)[: max(0, spare)]:
        given[index] += 1
    heap = [(given[index] == 1, -above[index], index) for index in present] if spare < 0 else []
    heapify(heap)
    for _ in range(-spare):
        _, less, index = heappop(heap)
        given[index] -= 1
        if given[index]:
            heappush(heap, (given[index] == 1, less + whole, index))
    return given


@lru_cache(maxsize=64)
def maglev(names: tuple[str, ...], size: int) -> tuple[int, ...]:
    """Slot -> index of a name, by Maglev's population algorithm (Eisenbud et al., NSDI 2016, section 3.4).

    `size` is a prime and at least the number of names. When a name goes, its slots move and few others.
    """
    order = sorted(range(len(names)), key=lambda index: names[index])
    position, skips = {}, {}
    for index in order:
        digest = hashlib.sha256(names[index].encode()).digest()
        position[index] = int.from_bytes(digest[:8], "big") % size
        skips[index] = int.from_bytes(digest[8:16], "big") % (size - 1) + 1
    table = [-1] * size
    filled = 0
    while True:
        for index in order:
            at = position[index]
            while table[at] >= 0:
                at = (at + skips[index]) % size
            table[at] = index
            position[index] = (at + skips[index]) % size
            filled += 1
            if filled == size:
                return tuple(table)


def spread(counts: Mapping[_Key, int]) -> list[_Key]:
    """As many slots of each key as counted, each key's evenly over the table."""
    places = [
        ((2 * turn + 1) / (2 * count), order, key)
        for order, (key, count) in enumerate(counts.items())
        for turn in range(count)
    ]
    return [key for _, _, key in sorted(places, key=lambda place: place[:2])]


def kept(previous: Sequence[_Key], counts: Mapping[_Key, int]) -> list[_Key]:
    """As many slots of each key as counted, in a table of the size of `previous` that differs in few places."""
    if len(previous) != sum(counts.values()):
        return spread(counts)
    left = dict(counts)
    table: list[_Key | None] = []
    for key in previous:
        stays = left.get(key, 0) > 0
        table.append(key if stays else None)
        if stays:
            left[key] -= 1
    fresh = iter([key for key, count in left.items() for _ in range(count)])
    return [next(fresh) if key is None else key for key in table]


def carried_over(previous: Sequence[_Key], present: Sequence[_Key]) -> list[_Key]:
    """`present` in an order that differs from `previous` in as few places as possible.

    Who stays keeps its (first) place where it can; who comes takes a hole or the end; the last move into what holes
    remain.
    """
    wanted = set(present)
    placed: list[_Key | None] = []
    known: set[_Key] = set()
    for key in previous:
        placed.append(key if key in wanted and key not in known else None)
        known.add(key)
    holes = [index for index, key in enumerate(placed) if key is None]
    fresh = [key for key in present if key not in known]
    for index, key in zip(holes, fresh, strict=False):
        placed[index] = key
    placed += fresh[len(holes) :]
    result: list[_Key] = []
    while placed:
        index = len(result)
        while placed and placed[-1] is None:
            placed.pop()
        if index >= len(placed):
            break
        here = placed[index]
        result.append(here if here is not None else placed.pop())  # type: ignore[arg-type]
    return result
