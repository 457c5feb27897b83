"""A run's verdict, from what was watched and measured around it."""

from collections.abc import Sequence

from experiments.records import Assessment, LinkCheck, MachineSecond
from experiments.validity import assess_links, assess_machine


def verdict_of(
    seconds: Sequence[MachineSecond], before: Sequence[LinkCheck], after: Sequence[LinkCheck]
) -> Assessment:
    """Whether the run can be believed: the machine while it ran, the links before and after it."""
    return assess_machine(seconds).merged(assess_links(before), assess_links(after))
