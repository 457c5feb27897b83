"""The topologies of an experiment's runs: resolved, each once, with the level to blame for one that cannot be made."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.design.blame import combination
from experiments.design.model import ExperimentDesign, PlannedRun, TopologyChoice
from experiments.design.settings import DesignError, settings_key, settings_of, values_of
from experiments.design.specify import topology_of
from kubinet.documents import Where, spell
from kubinet.errors import KubinetError
from topologies.resolve import resolve_topology


@dataclass(frozen=True, slots=True)
class Network:
    """A resolved topology; equal where the same was chosen."""

    key: Hashable
    document: Mapping[str, Any] = field(compare=False)
    """The resolved Topology document."""


class Networks:
    """Resolves what runs choose."""

    def __init__(self, design: ExperimentDesign, for_this_machine: bool, written: Where | None = None) -> None:
        """`for_this_machine`: also refuse what this machine cannot honour.

        `written`: where the fields of the design's own Topology document stand; None where nobody wrote one.
        """
        self._design = design
        self._for_this_machine = for_this_machine
        self._written = written
        self._resolved: dict[Hashable, Network] = {}

    def of(self, choice: TopologyChoice, run: PlannedRun) -> Network:
        """The network of a run; KubinetError where it cannot be made: a DesignError unless it says where it stands."""
        key = (choice.source, choice.nodes, choice.datapath, settings_key(choice.settings))
        if key not in self._resolved:
            try:
                self._resolved[key] = Network(key, self._resolve(choice))
            except KubinetError as error:
                if self._place(choice) is not None:
                    raise
                words = "" if choice == self._design.topology else combination(run)
                raise DesignError(f"{error}{words}", self._culprit(run)) from error
        return self._resolved[key]

    def _resolve(self, choice: TopologyChoice) -> Mapping[str, Any]:
        return resolve_topology(
            choice.source,
            nodes=choice.nodes,
            datapath=choice.datapath,
            settings=choice.settings,
            for_this_machine=self._for_this_machine,
            field_of_text=self._place(choice) or spell,
        )

    def _place(self, choice: TopologyChoice) -> Where | None:
        """Where the fields of the choice stand; None where the text is not one that somebody wrote."""
        return self._written if choice == TopologyChoice(self._design.topology.source) else None

    def _culprit(self, run: PlannedRun) -> Sequence[str]:
        """The level that makes the topology impossible even alone, else the last that has to do with it."""
        known = values_of(self._design, run.levels)
        settings = [one for one in settings_of(self._design, run.levels, known) if one.parts[0] == "topology"]
        places = list(dict.fromkeys(one.place for one in settings))
        for place in places:
            try:
                mine = [one for one in settings if one.place == place]
                self._resolve(topology_of(self._design.topology, mine, known))
            except KubinetError:
                return place
        return places[-1] if places else ("spec", "topology")
