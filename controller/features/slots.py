"""Tables of slots: which endpoint serves which slot of a hash. Pure, and the same on every node."""

import hashlib
from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Final, TypeVar

_Key = TypeVar("_Key", bound=Hashable)

SIZES: Final = (251, 1021, 4093, 16381, 65521)
"""Primes: sizes of slot tables. The first that gives every entry three slots or more is taken."""
_SLOTS_PER_ENTRY: Final = 3


def table_size(entries: int) -> int:
    """The slot table's size for a number of entries; the largest one for more than a third of it."""
    return next((size for size in SIZES if size >= _SLOTS_PER_ENTRY * entries), SIZES[-1])


def shares(weights: Sequence[int | Fraction], total: int) -> list[int]:
    """`total` slots in proportion to the weights, by largest remainders; a weight above 0 gets one where possible."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    exact = [Fraction(weight) * total / Fraction(whole) for weight in weights]
    given = [max(1, int(share)) if share else 0 for share in exact]
    order = sorted(range(len(weights)), key=lambda index: (exact[index] - given[index], -index), reverse=True)
    spare = total - sum(given)
    step = 0
    while spare > 0:
        given[order[step % len(order)]] += 1 if weights[order[step % len(order)]] else 0
        spare = total - sum(given)
        step += 1
    while spare < 0:
        largest = max(range(len(given)), key=lambda index: (given[index] > 1, given[index] - exact[index]))
        given[largest] -= 1
        spare += 1
    return given


def maglev(names: Sequence[str], size: int) -> list[int]:
    """Slot -> index of a name, by Maglev's population algorithm (Eisenbud et al., NSDI 2016, section 3.4).

    `size` is a prime and at least the number of names. When a name goes, its slots move and few others.
    """
    order = sorted(range(len(names)), key=lambda index: names[index])
    offsets, skips = {}, {}
    for index in order:
        digest = hashlib.sha256(names[index].encode()).digest()
        offsets[index] = int.from_bytes(digest[:8], "big") % size
        skips[index] = int.from_bytes(digest[8:16], "big") % (size - 1) + 1
    table = [-1] * size
    position = dict(offsets)
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
                return table


def proportional(weights: Sequence[int | Fraction], size: int) -> list[int]:
    """Slot -> index, each index as often as its weight asks, spread evenly."""
    counts = shares(weights, size)
    places = sorted(
        (Fraction(2 * turn + 1, 2 * count), index) for index, count in enumerate(counts) for turn in range(count)
    )
    return [index for _, index in places]


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
