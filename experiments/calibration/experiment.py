"""What an experiment's runs ask of this machine beyond its calibration, told before the first of them."""

from experiments.calibration.beyond import Beyond, beyond
from experiments.calibration.machine import fingerprint, state_folder
from experiments.calibration.values import load
from experiments.design.model import ExperimentDesign, PlannedRun
from experiments.design.plan import combinations
from experiments.design.specify import specify
from topologies.document import parse_topology, spell
from topologies.resolve import resolve_topology


def beyond_calibration(design: ExperimentDesign) -> Beyond:
    """Warnings and refusals of every combination of levels, each once; the design is checked already.

    InvalidInputError for a calibration file that is broken.
    """
    calibration = load(state_folder())
    if calibration is None:
        return Beyond(("this machine is not calibrated; `kubinet calibrate` finds what it can emulate honestly",))
    machine = fingerprint()
    found = Beyond()
    seen = []
    for index, levels in enumerate(combinations(design)):
        spec = specify(design, PlannedRun(index, 0, levels, design.seed))
        asked = spec.topology, spec.workload
        if asked in seen:
            continue
        seen.append(asked)
        document = resolve_topology(
            spec.topology.source,
            nodes=spec.topology.nodes,
            datapath=spec.topology.datapath,
            settings=spec.topology.settings,
        )
        topology = parse_topology(document, lambda path: f"topology: {spell(path)}")
        found = found.merged(beyond(topology, spec.workload, calibration, machine))
    return found
