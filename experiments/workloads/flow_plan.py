"""Which flows there will be: sizes of a distribution, Poisson arrivals, pairs of a traffic matrix. Pure.

The same seed gives the same flows.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any, Final

import yaml

from kubinet.errors import InvalidInputError

PACKET: Final = 1460
"""Bytes of TCP payload in a packet of the published distributions."""
_PAIR: Final = re.compile(r"([^\s>=]+)>([^\s>=]+)(?:=(\d+(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class PlannedFlow:
    """One flow."""

    number: int
    due_s: float
    """After the beginning."""
    source: str
    target: str
    size: int
    """Bytes of payload."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """A distribution of flow sizes: points of its cumulative distribution, linear between them."""

    points: tuple[tuple[float, float], ...]
    """(bytes, share of flows that are at most so large), both growing."""

    def at(self, share: float) -> float:
        """The size below which this share of flows is, bytes."""
        before_size, before_share = self.points[0][0], 0.0
        for size, upto in self.points:
            if share <= upto:
                part = (share - before_share) / (upto - before_share)
                return before_size + part * (size - before_size)
            before_size, before_share = size, upto
        return self.points[-1][0]

    @property
    def mean(self) -> float:
        """Bytes."""
        total, before_size, before_share = 0.0, self.points[0][0], 0.0
        for size, upto in self.points:
            total += (upto - before_share) * (before_size + size) / 2
            before_size, before_share = size, upto
        return total

    def mean_of_cut(self, largest: float) -> float:
        """The mean, bytes, where what is larger is cut to `largest`."""
        total, before_size, before_share = 0.0, self.points[0][0], 0.0
        for size, upto in self.points:
            low, high = min(before_size, largest), min(size, largest)
            whole = 1.0 if size == high else 0.0 if low == high else (high - low) / (size - before_size)
            total += (upto - before_share) * (whole * (low + high) / 2 + (1 - whole) * largest)
            before_size, before_share = size, upto
        return total

    def scaled(self, factor: float) -> "Sizes":
        """All sizes times a factor."""
        return Sizes(tuple((size * factor, share) for size, share in self.points))


@cache
def published() -> Mapping[str, Any]:
    """The published distributions: name to `source` and `points`."""
    text = resources.files("experiments.workloads").joinpath("flow_sizes.yaml").read_text()
    found: Mapping[str, Any] = yaml.safe_load(text)
    return found


def sizes_of(text: str) -> Sizes:
    """A published distribution's name, one size in bytes, or `SIZE:SHARE, …` in bytes; InvalidInputError otherwise."""
    if text in published():
        return Sizes(tuple((packets * PACKET, share) for packets, share in published()[text]["points"]))
    try:
        pairs = [part.split(":") for part in text.replace(" ", "").split(",")]
        points = tuple((float(size), float(share)) for size, share in pairs) if ":" in text else ((float(text), 1.0),)
    except ValueError:
        known = ", ".join(published())
        raise InvalidInputError(f"flow sizes {text!r} are none of {known}, a size, or SIZE:SHARE, …") from None
    growing = all(a[0] <= b[0] and a[1] < b[1] for a, b in pairwise(points))
    if not growing or points[0][0] < 1 or points[0][1] <= 0 or points[-1][1] != 1:
        raise InvalidInputError(f"flow sizes {text!r}: sizes and shares grow, from 1 byte on, and the last share is 1")
    return Sizes(points)


def matrix_of(text: str, places: Sequence[str]) -> dict[tuple[str, str], float]:
    """`A>B=3, B>C=1` as weights by pair; empty: every ordered pair of the places alike. InvalidInputError otherwise."""
    if not text.strip():
        return {(a, b): 1.0 for a in places for b in places if a != b}
    found = {}
    for word in re.split(r"[,\s]+", text.strip(", ")):
        match = _PAIR.fullmatch(word)
        if match is None or match[1] == match[2]:
            raise InvalidInputError(f"traffic matrix: {word!r} is not FROM>TO=WEIGHT with two different places")
        found[match[1], match[2]] = float(match[3] or 1)
    if not sum(found.values()):
        raise InvalidInputError("traffic matrix: all weights are zero")
    return found


def plan(
    matrix: Mapping[tuple[str, str], float],
    sizes: Sizes,
    *,
    bits_per_s: float,
    seconds: float,
    largest: int,
    seed: int,
) -> list[PlannedFlow]:
    """Flows that offer `bits_per_s` in all, on average; larger ones than `largest` bytes are cut (0: none is).

    The offered rate is meant before cutting, so a limit lowers it.
    """
    generator = random.Random(seed)  # noqa: S311 - a design, not a secret
    pairs, weights = list(matrix), list(matrix.values())
    per_second = bits_per_s / 8 / sizes.mean
    flows: list[PlannedFlow] = []
    at = generator.expovariate(per_second)
    while at < seconds:
        ((source, target),) = generator.choices(pairs, weights)
        size = max(1, round(sizes.at(generator.random())))
        flows.append(PlannedFlow(len(flows), at, source, target, min(size, largest) if largest else size))
        at += generator.expovariate(per_second)
    return flows
