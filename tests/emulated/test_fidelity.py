"""A sample of the random links of docs/fidelity.md keeps its word on this machine."""

import pytest

from experiments.fidelity.links import draw
from experiments.fidelity.measuring import measure_links

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

SAMPLE = (2, 3, 25, 10, 5, 4)
"""Of the draw: 56 and 29 Mbit/s with little delay and loss, 22 with much loss, 1.5 with 60 ms, 46 and 297 without."""


def test_random_links_are_as_declared() -> None:
    """Rate, delay, jitter and loss of both directions are within tolerance and chance for every link of the sample.

    A link that is off while the machine has other work is measured again, and says nothing without a quiet moment.
    """
    drawn = draw()
    found = measure_links([drawn[number] for number in SAMPLE], attempts=6, deadline_s=28.0)
    assert len(found) == len(SAMPLE)
    assert [one.problems for one in found if one.problems and not one.disturbances] == []
    if disturbed := [one for one in found if one.problems]:
        pytest.skip(f"{len(disturbed)} of {len(found)} links were off on a busy machine: {disturbed[0].disturbances}")
