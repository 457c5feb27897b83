"""What the experiments with a name ask of a machine, against the calibration of two cores without netem."""

import pytest

from experiments.calibration.beyond import beyond
from experiments.calibration.experiment import requirements
from experiments.calibration.values import Calibration, Capacity, Fingerprint
from experiments.design.document import read_experiment
from experiments.design.model import ExperimentDesign
from experiments.plugins import workloads
from experiments.registry import Entry, list_experiments, load_implementation

pytestmark = pytest.mark.slow

MACHINE = Fingerprint("a processor", 2, 8000, "6.1", "netdev", "wirefilter")
TWO_CORES = Calibration(
    MACHINE,
    "2026-11-26T03:00:00+00:00",
    quick=False,
    seconds=173.0,
    load=1.0,
    capacities=(
        Capacity("rate", "Mbit/s", 1000, 2000, "1205 of 1847 Mbit/s of TCP payload arrived", ""),
        Capacity("packets", "packets/s", 80_000, 120_000, "1.6 % were lost", ""),
        Capacity("delayed links", "links", 96, None, "the highest level that is tried", ""),
        Capacity("nodes", "nodes", 96, None, "the highest level that is tried", ""),
    ),
)
"""As on the page docs/validity.md."""
OFFERED: dict[str, tuple[float, float, float]] = {
    "controller-failure": (600, 0.3, 0.0),
    "dns": (0, 0.0, 0.0),
    "ecmp-collisions": (274, 12.0, 0.0),
    "incast": (240, 10.5, 0.0),
    "mtu": (2500, 20.0, 50.0),
    "node-failure": (100, 0.1, 0.0),
    "overlay-cost": (5000, 54.4, 0.0),
    "pod_latency": (200, 0.0, 0.0),
    "policy-scale": (500, 0.3, 0.0),
    "scale": (0, 0.0, 0.0),
    "service_load_balancing": (0, 0.0, 0.0),
    "services-scale": (500, 0.3, 0.0),
    "wan-placement": (1400, 0.7, 0.0),
}
"""Experiment to the most packets/s, Mbit/s that workloads set themselves, and Mbit/s by which TCP fills links."""


def _design(entry: Entry) -> ExperimentDesign:
    return load_implementation(entry.implementation).design() if entry.path is None else read_experiment(entry.path)


@pytest.mark.parametrize("entry", list_experiments(), ids=lambda entry: entry.name)
def test_two_cores_carry_the_catalogue(entry: Entry) -> None:
    """No level of an experiment is warned about or refused; what each offers is what its file says."""
    asked = list(requirements(_design(entry), workloads))
    for topology, demands in asked:
        found = beyond(topology, demands, TWO_CORES, MACHINE)
        assert (found.warnings, found.refusals) == ((), ())
    offered = [one for _, demands in asked for one in demands]
    most = (
        round(max(one.packets_per_s for one in offered)),
        round(max(one.mbit for one in offered), 1),
        round(max(one.adapting_mbit for one in offered), 1),
    )
    assert most == OFFERED[entry.name]
