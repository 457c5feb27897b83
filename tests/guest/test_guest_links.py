"""Declared links realised by sch_netem, as measured in the guest."""

import json
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from topologies.guest import run_in_guest

SCENARIO = Path(__file__).parent / "scenarios" / "links.py"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    result = run_in_guest(["python", str(SCENARIO)], timeout=240, modules=("sch_netem", "sch_tbf", "veth", "bridge"))
    assert result.exit_code == 0, result.stderr.decode()
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_links_use_netem_where_the_kernel_has_it(found: dict[str, Any]) -> None:
    """A link with delay, jitter or loss is realised by sch_netem where the kernel has it."""
    assert found["wires"] == {"delayed": "netem", "jittery": "netem", "lossy": "netem"}


def test_links_delay_is_the_declared_one_within_1_ms_and_5_percent(found: dict[str, Any]) -> None:
    """10 ms each way make a round trip of 20 ms, within 1 ms and 5 %."""
    assert abs(found["delayed"]["rtt_ms"] - 20.0) <= 1.0 + 0.05 * 20.0
    assert found["delayed"]["loss"] == 0.0


def test_links_rate_is_the_declared_one_within_5_percent(found: dict[str, Any]) -> None:
    """TCP's payload over a link of 20 Mbit/s is the rate less the headers of full frames, within 5 %."""
    mss = found["delayed"]["mss"]
    expected = 20.0 * mss / (mss + 14 + 20 + 32)
    assert abs(found["delayed"]["goodput_mbit"] - expected) <= 0.05 * expected


def test_links_jitter_is_the_declared_standard_deviation(found: dict[str, Any]) -> None:
    """2 ms of jitter each way give round trips a standard deviation of 2 ms times the root of two, around 40 ms."""
    # 495 samples of a normal distribution: the estimate's own standard error is 3.2 %; five of them.
    assert abs(found["jittery"]["stdev_ms"] - 2.0 * sqrt(2)) <= 0.16 * 2.0 * sqrt(2)
    assert abs(found["jittery"]["rtt_ms"] - 40.0) <= 1.0 + 0.05 * 40.0


def test_links_loss_is_the_declared_share(found: dict[str, Any]) -> None:
    """10 % of loss each way lose 19 % of round trips."""
    # Five standard errors of 4000 Bernoulli trials: 0.031.
    assert abs(found["lossy"]["loss"] - 0.19) <= 0.031


def test_links_own_measurement_finds_every_link_as_declared(found: dict[str, Any]) -> None:
    """Kubinet's measurement of one-way delay, rate and loss finds nothing to object to, in either direction."""
    assert found["problems"] == {"delayed": [], "jittery": [], "lossy": []}
    rates = [way["rate"] for way in found["ways"]["delayed"]]
    assert all(abs(rate - 20e6) <= 0.05 * 20e6 for rate in rates), rates
