"""The random links: drawn from a seed, the same on every machine."""

import math
import random
from dataclasses import dataclass
from typing import Final

from topologies.links.mechanism import WIREFILTER_MAX_RATE

SEED: Final = 5
COUNT: Final = 40
_SLOWEST, _FASTEST = 1e6, 500e6
_LONGEST_MS: Final = 100.0
_MOST_LOSS: Final = 5.0
_PLAIN: Final = 0.2
"""Share of the links without delay, and of those without loss."""


@dataclass(frozen=True, slots=True)
class DrawnLink:
    """What one link declares."""

    rate_mbit: float
    delay_ms: float
    loss_percent: float

    @property
    def settings(self) -> dict[str, str]:
        """As a topology's file writes them."""
        found = {"rate": f"{self.rate_mbit:g}mbit"}
        if self.delay_ms:
            found["delay"] = f"{self.delay_ms:g}ms"
        if self.loss_percent:
            found["loss"] = f"{self.loss_percent:g}%"
        return found


def draw(count: int = COUNT, seed: int = SEED) -> tuple[DrawnLink, ...]:
    """So many links: rate 1 to 500 Mbit/s (its logarithm is uniform), delay 0 to 100 ms, loss 0 to 5 %.

    Links above 200 Mbit/s have a rate only: the userspace wire carries no more and refuses them, and the links are the
    same on machines with netem and without. A link with loss has a delay, as a wire without delay is a cable.
    """
    generator = random.Random(seed)  # noqa: S311 - a repeatable draw, no secret
    return tuple(_draw(generator) for _ in range(count))


def _draw(generator: random.Random) -> DrawnLink:
    rate = math.exp(generator.uniform(math.log(_SLOWEST), math.log(_FASTEST)))
    delay = 0.0 if generator.random() < _PLAIN else generator.uniform(0.1, _LONGEST_MS)
    loss = 0.0 if generator.random() < _PLAIN else generator.uniform(0.01, _MOST_LOSS)
    if rate > WIREFILTER_MAX_RATE:
        delay = loss = 0.0
    return DrawnLink(float(f"{rate / 1e6:.3g}"), round(delay, 1), round(loss, 2) if delay else 0.0)
