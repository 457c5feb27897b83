"""Each combination of levels: whether its topology can be made and its plug-ins take their settings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from experiments.design.existing import Existing
from experiments.design.missing import missing_object
from experiments.design.model import (
    ExperimentDesign,
    MeasurementDesign,
    PlannedRun,
    RunSpec,
    TopologyChoice,
    WorkloadDesign,
)
from experiments.design.objectsnamed import ObjectNames, names_of
from experiments.design.settings import DesignError, at, level_place, levels_of, settings_of, values_of
from experiments.design.specify import section_of, specify, topology_of
from experiments.design.whereabouts import Used, check_names, existing_in
from experiments.objectnames import parse_object
from experiments.plugins import SettingError, complete
from experiments.scene import Measurement, Workload
from experiments.timeline.language import TimelineError
from kubinet.errors import InvalidInputError, KubinetError, UsageError
from kubinet.manifests import Manifest, parse_manifests
from topologies.resolve import resolve_topology

_Document = Mapping[str, Any]


class RunChecker:
    """Checks one combination after the other; what several have in common is checked once."""

    def __init__(
        self,
        design: ExperimentDesign,
        workloads: Mapping[str, Workload],
        measurements: Mapping[str, Measurement],
        check_line: Callable[[str, Existing], object],
        for_this_machine: bool,
    ) -> None:
        """`workloads`, `measurements`: plug-ins by the name that the experiment gives them."""
        self._design = design
        self._plugins: Mapping[tuple[str, str], Workload | Measurement] = {
            **{("workload", name): plugin for name, plugin in workloads.items()},
            **{("measurement", name): plugin for name, plugin in measurements.items()},
        }
        self._check_line = check_line
        self._for_this_machine = for_this_machine
        self._topologies: dict[object, _Document] = {}
        self._objects: dict[str, ObjectNames] = {}
        self._used: dict[object, Used] = {}
        self._seen: set[object] = set()

    def check(self, run: PlannedRun) -> None:
        """DesignError for what does not fit in this run."""
        spec = specify(self._design, run)
        names = [self._names(name, text) for name, text in spec.manifests.items()]
        used = [
            self._settings(root, one, run)
            for root, several in (("workload", spec.workload), ("measurement", spec.measurements))
            for one in several
        ]
        topology = self._topology(spec.topology, run)
        existing = existing_in(spec, topology, names, used, self._readable)
        self._ready(spec, Existing(topology, tuple(names), complete=True, scaled=False), existing)
        self._timeline(spec, existing)
        for one in used:
            self._places(one, existing, run)

    def _names(self, name: str, text: str) -> ObjectNames:
        """What a manifest's objects are called; DesignError for manifests that cannot be read."""
        if text not in self._objects:
            with at("spec", "manifests", name.removesuffix(".yaml")):
                manifests = parse_manifests(text, name)
                _check_objects(manifests)
                self._objects[text] = names_of(one.object for one in manifests)
        return self._objects[text]

    def _readable(self, text: str) -> ObjectNames | None:
        """The same of a text that a plug-in or the timeline applies, which judge it themselves."""
        try:
            return self._names("applied", text)
        except KubinetError:
            return None

    def _is_new(self, *what: object) -> bool:
        if what in self._seen:
            return False
        self._seen.add(what)
        return True

    def _settings(self, root: str, one: WorkloadDesign | MeasurementDesign, run: PlannedRun) -> Used:
        """The plug-in with its settings; DesignError when it does not take them."""
        key = (root, one.name, _key(one.settings))
        if key not in self._used:
            plugin = self._plugins[root, one.name]
            words = "" if one in (*self._design.workload, *self._design.measurements) else _words(run)
            with self._blaming(root, one, run, words):
                used = Used(root, one, plugin, complete(plugin, one.settings))
                plugin.check(used.settings)
            self._used[key] = used
        return self._used[key]

    def _places(self, used: Used, existing: Existing, run: PlannedRun) -> None:
        known = (id(existing.topology), *map(id, existing.objects), existing.complete, existing.scaled)
        if self._is_new("places", id(used), known):
            with self._blaming(used.root, used.design, run, _words(run)):
                check_names(used, existing)

    @contextmanager
    def _blaming(
        self, root: str, one: WorkloadDesign | MeasurementDesign, run: PlannedRun, words: str
    ) -> Iterator[None]:
        """Errors inside are about the field that they name, or about the level that sets it."""
        place: tuple[str, ...] = ("spec", section_of(root), one.name)
        try:
            yield
        except SettingError as error:
            setters = [
                level_place(factor, level.name)
                for factor, level in levels_of(self._design, run.levels).items()
                if f"{root}.{one.name}.{error.field}" in level.sets
            ]
            field = setters[0] if setters else (*place, error.field)
            raise DesignError(f"{one.kind}: {error}{words}", field) from error
        except KubinetError as error:
            raise DesignError(f"{one.kind}: {error}{words}", place) from error

    def _topology(self, choice: TopologyChoice, run: PlannedRun) -> _Document:
        key = (choice.source, choice.nodes, choice.datapath, _key(choice.settings))
        if key not in self._topologies:
            try:
                self._topologies[key] = self._resolved(choice)
            except KubinetError as error:
                words = "" if choice == self._design.topology else _words(run)
                raise DesignError(f"{error}{words}", self._culprit(run)) from error
        return self._topologies[key]

    def _resolved(self, choice: TopologyChoice) -> _Document:
        return resolve_topology(
            choice.source,
            nodes=choice.nodes,
            datapath=choice.datapath,
            settings=choice.settings,
            for_this_machine=self._for_this_machine,
        )

    def _culprit(self, run: PlannedRun) -> Sequence[str]:
        """The level that makes the topology impossible even alone, else the last that has to do with it."""
        known = values_of(self._design, run.levels)
        settings = [one for one in settings_of(self._design, run.levels, known) if one.parts[0] == "topology"]
        places = list(dict.fromkeys(one.place for one in settings))
        for place in places:
            try:
                mine = [one for one in settings if one.place == place]
                self._resolved(topology_of(self._design.topology, mine, known))
            except KubinetError:
                return place
        return places[-1] if places else ("spec", "topology")

    def _ready(self, spec: RunSpec, before: Existing, during: Existing) -> None:
        """`before`: what there is before the workload begins; `during`: what there can be later."""
        for index, text in enumerate(spec.ready):
            try:
                wanted = parse_object(text)
                problem = missing_object(wanted, before)
                if problem and not missing_object(wanted, during):
                    problem = (
                        f"{wanted} is not there before the workload begins, and `ready` is waited for before that; "
                        "put it into the manifests, or wait with the workload until-ready"
                    )
            except UsageError as error:
                raise DesignError(str(error), ("spec", "ready", index)) from error
            if problem:
                raise DesignError(f"{problem}{_words(spec.run)}", ("spec", "ready", index))

    def _timeline(self, spec: RunSpec, existing: Existing) -> None:
        known = (id(existing.topology), *map(id, existing.objects), existing.complete)
        for index, line in enumerate(spec.timeline):
            if not self._is_new("timeline", line, known):
                continue
            try:
                self._check_line(line, existing)
            except (KubinetError, ValueError) as error:
                always = isinstance(error, TimelineError | ValueError) and line == self._design.timeline[index]
                words = "" if always else _words(spec.run)
                raise DesignError(f"{error}{words}", ("spec", "timeline", index)) from error


def _check_objects(manifests: Sequence[Manifest]) -> None:
    """InvalidInputError for an object that is there twice, as when copies forget their number."""
    seen = set()
    for one in manifests:
        metadata = one.object["metadata"]
        key = (one.object["apiVersion"], one.object["kind"], metadata.get("namespace"), metadata.get("name"))
        if metadata.get("name") and key in seen:
            raise InvalidInputError(
                f"{one.object['kind']} '{metadata['name']}' is there twice; with `repeat`, put $(i) into its name"
            )
        seen.add(key)


def _key(settings: Mapping[str, object]) -> object:
    """Equal for equal settings; 1, 1.0 and true are different ones."""
    return frozenset((name, type(value), value) for name, value in settings.items())


def _words(run: PlannedRun) -> str:
    """Which combination it is, where there are several."""
    levels = ", ".join(f"{factor}={level}" for factor, level in run.levels.items())
    return f" (with {levels})" if levels else ""
