"""Whether the places and objects that a run names can exist in its cluster. Pure."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.base import Holds, Parameter
from experiments.design.blame import combination
from experiments.design.existing import Existing
from experiments.design.missing import missing_object
from experiments.design.model import MeasurementDesign, RunSpec, Settings, WorkloadDesign
from experiments.design.objectsnamed import ObjectNames
from experiments.design.settings import DesignError
from experiments.objectnames import objects_in, parse_object
from experiments.placenames import places_in
from experiments.plugins import SettingError, makes_objects
from experiments.scene import Measurement, Workload
from kubinet.errors import UsageError


@dataclass(frozen=True, slots=True)
class Used:
    """A plug-in with its complete settings in one run; equal where it is the same with the same settings."""

    key: Hashable
    root: str
    """`workload` or `measurement`."""
    design: WorkloadDesign | MeasurementDesign = field(compare=False)
    plugin: Workload | Measurement = field(compare=False)
    settings: Settings = field(compare=False)

    def texts(self, *kinds: Holds) -> Iterator[tuple[Parameter, str]]:
        """The texts that name something of a cluster."""
        for parameter in self.plugin.parameters:
            if parameter.holds in kinds and (text := str(self.settings[parameter.name])):
                yield parameter, text


def applied_later(spec: RunSpec, used: Sequence[Used]) -> tuple[str, ...]:
    """Texts of objects that the timeline or a plug-in applies."""
    return (*spec.files.values(), *(text for one in used for _, text in one.texts(Holds.MANIFESTS)))


def existing_in(
    spec: RunSpec,
    topology: Mapping[str, Any],
    manifests: Sequence[ObjectNames],
    used: Sequence[Used],
    read: Callable[[str], ObjectNames | None],
) -> Existing:
    """What the run's cluster has; `read`: the names in a text of objects, None where it cannot be read."""
    later = [read(text) for text in applied_later(spec, used)]
    unread = [line for line in spec.timeline if _says(line, "apply") and not any(name in line for name in spec.files)]
    return Existing(
        topology,
        (*manifests, *(names for names in later if names is not None)),
        complete=not unread and None not in later and not any(makes_objects(one.plugin) for one in used),
        scaled=any(_says(line, "scale") for line in spec.timeline),
    )


def check_names(used: Used, existing: Existing) -> None:
    """SettingError for the first place or object that cannot exist."""
    for parameter, text in used.texts(*Holds):
        try:
            problem = next(filter(None, _problems(parameter, text, existing)), "")
        except UsageError as error:
            problem = str(error)
        if problem:
            raise SettingError(f"parameter '{parameter.name}': {problem}", parameter.name)


def check_ready(spec: RunSpec, before: Existing, during: Existing) -> None:
    """DesignError for an object that cannot be there before the workload begins.

    `before`: what there is then; `during`: what there can be later.
    """
    for index, text in enumerate(spec.ready):
        try:
            wanted = parse_object(text)
        except UsageError as error:
            raise DesignError(str(error), ("spec", "ready", index)) from error
        problem = missing_object(wanted, before)
        # What else may come into being is not known where `during` is incomplete: only what is known to come is meant.
        if problem and not missing_object(wanted, replace(during, complete=True)):
            problem = (
                f"{wanted} is not there before the workload begins, and `ready` is waited for before that; "
                "put it into the manifests, or wait with the workload until-ready"
            )
        if problem:
            raise DesignError(f"{problem}{combination(spec.run)}", ("spec", "ready", index))


def _problems(parameter: Parameter, text: str, existing: Existing) -> Iterator[str]:
    assert parameter.holds is not None
    if parameter.holds is Holds.OBJECTS:
        yield from (missing_object(wanted, existing) for wanted in objects_in(text))
    else:
        yield from (existing.problem(word, place) for word, place in places_in(text, parameter.holds))


def _says(line: str, word: str) -> bool:
    return word in line.split()
