"""Which field of an experiment's file an error of one combination of levels is about."""

from collections.abc import Iterator
from contextlib import contextmanager

from experiments.design.model import ExperimentDesign, MeasurementDesign, PlannedRun, WorkloadDesign
from experiments.design.settings import DesignError, level_place, levels_of
from experiments.design.specify import section_of
from experiments.plugins import SettingError
from kubinet.errors import KubinetError


def combination(run: PlannedRun) -> str:
    """` (with overlay=vxlan)`: which combination it is, where there are several."""
    levels = ", ".join(f"{factor}={level}" for factor, level in run.levels.items())
    return f" (with {levels})" if levels else ""


@contextmanager
def blaming(
    design: ExperimentDesign, root: str, one: WorkloadDesign | MeasurementDesign, run: PlannedRun, words: str
) -> Iterator[None]:
    """Errors inside become DesignErrors, with `words` at their end, about the field that they name, or the level that
    sets it.

    `root`: `workload` or `measurement`.
    """
    place: tuple[str, ...] = ("spec", section_of(root), one.name)
    try:
        yield
    except SettingError as error:
        setters = [
            level_place(factor, level.name)
            for factor, level in levels_of(design, run.levels).items()
            if f"{root}.{one.name}.{error.field}" in level.sets
        ]
        field = setters[0] if setters else (*place, error.field)
        raise DesignError(f"{one.kind}: {error}{words}", field) from error
    except KubinetError as error:
        raise DesignError(f"{one.kind}: {error}{words}", place) from error
