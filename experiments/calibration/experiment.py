"""What an experiment's runs ask of this machine beyond its calibration, told before the first of them."""

from collections.abc import Iterator, Mapping

from experiments.calibration.beyond import Beyond, beyond
from experiments.calibration.demand import Demand, demands, nodes_of_pods, rated_ways
from experiments.calibration.machine import fingerprint, state_folder
from experiments.calibration.values import load
from experiments.design.model import ExperimentDesign, PlannedRun
from experiments.design.plan import combinations
from experiments.design.specify import specify
from experiments.plugins import complete, offered_by, workloads
from experiments.scene import Workload
from experiments.topology import underlay_of
from topologies.document import parse_topology, spell
from topologies.model import Topology
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
    for topology, offered in requirements(design, workloads):
        found = found.merged(beyond(topology, offered, calibration, machine))
    return found


def requirements(
    design: ExperimentDesign, plugins: Mapping[str, Workload]
) -> Iterator[tuple[Topology, tuple[Demand, ...]]]:
    """The network and the offered load of every combination of levels; combinations that ask the same are one."""
    seen = []
    for index, levels in enumerate(combinations(design)):
        spec = specify(design, PlannedRun(index, 0, levels, design.seed))
        asked = spec.topology, spec.workload, spec.manifests
        if asked in seen:
            continue
        seen.append(asked)
        document = resolve_topology(
            spec.topology.source,
            nodes=spec.topology.nodes,
            datapath=spec.topology.datapath,
            settings=spec.topology.settings,
        )
        loads = [
            (one, offered_by(plugins[one.kind], complete(plugins[one.kind], one.settings))) for one in spec.workload
        ]
        ways = rated_ways(underlay_of(document), nodes_of_pods(spec.manifests))
        topology = parse_topology(document, lambda path: f"topology: {spell(path)}")
        yield topology, tuple(demands(loads, ways))
