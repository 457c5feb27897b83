"""The plug-ins of an experiment's runs with their settings, each combination of settings judged once."""

from collections.abc import Hashable, Mapping

from experiments.design.blame import blaming, combination
from experiments.design.model import ExperimentDesign, MeasurementDesign, PlannedRun, RunSpec, WorkloadDesign
from experiments.design.settings import settings_key
from experiments.design.whereabouts import Used
from experiments.plugins import complete
from experiments.scene import Measurement, Workload


class UsedPlugins:
    """Completes settings and lets plug-ins check them."""

    def __init__(
        self, design: ExperimentDesign, workloads: Mapping[str, Workload], measurements: Mapping[str, Measurement]
    ) -> None:
        """`workloads`, `measurements`: plug-ins by the name that the experiment gives them."""
        self._design = design
        self._plugins: Mapping[tuple[str, str], Workload | Measurement] = {
            **{("workload", name): plugin for name, plugin in workloads.items()},
            **{("measurement", name): plugin for name, plugin in measurements.items()},
        }
        self._used: dict[Hashable, Used] = {}

    def of(self, spec: RunSpec) -> tuple[Used, ...]:
        """The run's workloads and measurements; DesignError for settings that one does not take."""
        return (
            *(self._one("workload", one, spec.run) for one in spec.workload),
            *(self._one("measurement", one, spec.run) for one in spec.measurements),
        )

    def _one(self, root: str, one: WorkloadDesign | MeasurementDesign, run: PlannedRun) -> Used:
        key = (root, one.name, settings_key(one.settings))
        if key not in self._used:
            plugin = self._plugins[root, one.name]
            words = "" if one in (*self._design.workload, *self._design.measurements) else combination(run)
            with blaming(self._design, root, one, run, words):
                used = Used(key, root, one, plugin, complete(plugin, one.settings))
                plugin.check(used.settings)
            self._used[key] = used
        return self._used[key]
