"""Calibrating climbs real links, pods and clusters."""

import re

import pytest

from experiments.calibration.calibrate import Effort, calibrate
from experiments.calibration.machine import fingerprint
from kubinet.errors import KubinetError

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

SMALL = Effort(seconds=1, attempts=3, budget_s=12.0, rates=(5,), packets=(500,), nodes=(2,), links=(1,))
"""What every machine can do."""
_DISTURBED = re.compile("no idle CPU|woke up|hypervisor|stood still")
"""How a verdict blames the machine."""


def test_a_quiet_machine_emulates_a_little_of_everything() -> None:
    """5 Mbit/s between pods, 500 packets/s, one link with delay and two nodes give valid verdicts on any machine."""
    try:
        found = calibrate(SMALL)
    except KubinetError as error:
        assert "busy with other work" in str(error)
        pytest.skip(str(error))
    disturbed = [one for one in found.capacities if not one.value and _DISTURBED.search(one.reason)]
    expected = {"rate": 5, "packets": 500, "delayed links": 1, "nodes": 2} | {one.name: 0 for one in disturbed}
    assert {one.name: one.value for one in found.capacities} == expected
    assert found.fingerprint == fingerprint()
    assert found.quick is True
    if disturbed:
        pytest.skip(f"other work disturbed {disturbed[0].name}: {disturbed[0].reason}")
