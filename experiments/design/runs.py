"""Each combination of levels: whether its topology can be made, and whether what it names can exist in its cluster."""

from collections.abc import Callable, Hashable, Mapping, Sequence

from experiments.design.applied import ManifestReader
from experiments.design.blame import blaming, combination
from experiments.design.existing import Existing
from experiments.design.model import ExperimentDesign, PlannedRun, RunSpec
from experiments.design.networks import Network, Networks
from experiments.design.settings import DesignError
from experiments.design.specify import specify
from experiments.design.usedplugins import UsedPlugins
from experiments.design.whereabouts import Used, applied_later, check_names, check_ready, existing_in
from experiments.scene import Measurement, Workload
from experiments.timeline.words import TimelineError
from kubinet.documents import Where
from kubinet.errors import KubinetError


class RunChecker:
    """Checks one combination after the other; what several have in common is checked once."""

    def __init__(
        self,
        design: ExperimentDesign,
        workloads: Mapping[str, Workload],
        measurements: Mapping[str, Measurement],
        check_line: Callable[[str, Existing], object],
        for_this_machine: bool,
        of_topology: Where | None = None,
    ) -> None:
        """`workloads`, `measurements`: plug-ins by the name that the experiment gives them.

        `of_topology`: where the fields of its own Topology document stand.
        """
        self._design = design
        self._check_line = check_line
        self._manifests = ManifestReader()
        self._networks = Networks(design, for_this_machine, of_topology)
        self._plugins = UsedPlugins(design, workloads, measurements)
        self._checked: set[Hashable] = set()

    def check(self, run: PlannedRun) -> None:
        """KubinetError for what does not fit in this run: a DesignError unless it says where it stands."""
        spec = specify(self._design, run)
        manifests = self._manifests.manifests_of(spec)
        used = self._plugins.of(spec)
        network = self._networks.of(spec.topology, run)
        during = existing_in(spec, network.document, manifests, used, self._manifests.readable)
        there = _key(spec, network, used, during)
        if self._is_new("ready", spec.ready, there):
            check_ready(spec, Existing(network.document, manifests, complete=True, scaled=False), during)
        self._check_timeline(spec, during, there)
        for one in used:
            if self._is_new("names", one, there):
                with blaming(self._design, one.root, one.design, run, combination(run)):
                    check_names(one, during)

    def _check_timeline(self, spec: RunSpec, existing: Existing, there: Hashable) -> None:
        for index, line in enumerate(spec.timeline):
            if not self._is_new("timeline", line, there):
                continue
            try:
                self._check_line(line, existing)
            except (KubinetError, ValueError) as error:
                always = isinstance(error, TimelineError | ValueError) and line == self._design.timeline[index]
                words = "" if always else combination(spec.run)
                raise DesignError(f"{error}{words}", ("spec", "timeline", index)) from error

    def _is_new(self, *what: Hashable) -> bool:
        if what in self._checked:
            return False
        self._checked.add(what)
        return True


def _key(spec: RunSpec, network: Network, used: Sequence[Used], existing: Existing) -> Hashable:
    """Equal for runs whose clusters have the same."""
    texts = (tuple(spec.manifests.values()), applied_later(spec, used))
    return network, texts, existing.complete, existing.scaled
