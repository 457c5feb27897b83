"""Calibrating climbs real links, pods and clusters."""

import pytest

from experiments.calibration.calibrate import Effort, calibrate
from experiments.calibration.machine import fingerprint
from kubinet.errors import KubinetError

pytestmark = pytest.mark.emulated

SMALL = Effort(seconds=1, attempts=3, budget_s=12.0, rates=(5,), packets=(500,), nodes=(2,), links=(1,))
"""What every machine can do."""


def test_a_quiet_machine_emulates_a_little_of_everything() -> None:
    """5 Mbit/s between pods, 500 packets/s, one link with delay and two nodes give valid verdicts on any machine."""
    try:
        found = calibrate(SMALL)
    except KubinetError as error:
        assert "busy with other work" in str(error)
        pytest.skip(str(error))
    assert {one.name: one.value for one in found.capacities} == {
        "rate": 5,
        "packets": 500,
        "delayed links": 1,
        "nodes": 2,
    }
    assert found.fingerprint == fingerprint()
    assert found.quick is True
