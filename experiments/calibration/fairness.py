"""What each of several streams gets of the links that they share. Pure."""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

Link = TypeVar("Link", bound=Hashable)


def max_min(
    wanted: Sequence[float], ways: Sequence[Collection[Link]], capacities: Mapping[Link, float]
) -> tuple[float, ...]:
    """Each stream's rate where no stream can get more without another, that has no more itself, getting less.

    Progressive filling (Bertsekas and Gallager, Data Networks, 1992, chapter 6): all rise together; who has what it
    wanted (`math.inf`: no limit of its own), or has a full link on its way, stays. A link without a capacity limits
    nobody.
    """
    granted: dict[int, float] = {}
    while len(granted) < len(wanted):
        rising = [number for number in range(len(wanted)) if number not in granted]
        levels: dict[Link, float] = {}
        for link, capacity in capacities.items():
            sharing = sum(link in ways[number] for number in rising)
            if sharing:
                taken = sum(rate for number, rate in granted.items() if link in ways[number])
                levels[link] = max(0.0, capacity - taken) / sharing
        lowest = min(levels.values(), default=math.inf)
        if satisfied := [number for number in rising if wanted[number] <= lowest]:
            granted |= {number: wanted[number] for number in satisfied}
        else:
            full = min(levels, key=lambda link: levels[link])
            granted |= {number: lowest for number in rising if full in ways[number]}
    return tuple(granted[number] for number in range(len(wanted)))
