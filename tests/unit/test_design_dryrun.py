"""The dry run: what would run, in which order, how long it takes, how much disk."""

from dataclasses import replace
from pathlib import Path

import pytest
from designs import GOOD, IPERF, PING

from experiments.design.document import parse_text
from experiments.design.dryrun import dry_run, lines, spoken
from experiments.design.factors import override
from experiments.design.plan import plan

DESIGN = parse_text(GOOD, "lab.yaml", Path()).design
KINDS = {"ping": PING, "iperf3": IPERF}


def test_the_runs_are_the_plans_and_follow_each_other() -> None:
    """Each planned run starts when the one before it is expected to have ended."""
    dry = dry_run(DESIGN, KINDS, startup_s=10)
    assert tuple(one.run for one in dry.runs) == plan(DESIGN)
    assert [one.seconds for one in dry.runs] == [18.0] * 20
    assert [one.starts_s for one in dry.runs] == [18.0 * index for index in range(20)]
    assert (dry.seconds, dry.bytes) == (360.0, 2_000_000)


def test_without_an_expectation_the_workloads_say_how_long_they_take() -> None:
    """A step takes as long as its longest workload; steps follow each other after the warm-up."""
    dry = dry_run(replace(DESIGN, run_seconds=0.0), KINDS, startup_s=10)
    assert {one.seconds for one in dry.runs} == {10 + 0.5 + 2 + 5}


def test_the_text() -> None:
    """Everything that will run is shown before it runs."""
    dry = dry_run(override(DESIGN, levels={"load": ["idle"]}, repetitions=1), KINDS, startup_s=10)
    assert list(lines(replace(dry, max_duration_s=40.0))) == [
        "overlay-cost: What does the overlay cost?",
        "factor overlay: vxlan, geneve, direct  (how packets between nodes are carried)",
        "factor load: idle",
        "parameter seconds: 5",
        "3 runs; repetitions 1, order blocked, seed 7",
        "expected: 54 s, 0.3 MB",
        "it stops after 40 s (stop.maxDuration), before its last run",
        "",
        "run  starts  takes  repetition  overlay  load",
        "0    0 s     18 s   0           direct   idle",
        "1    18 s    18 s   0           geneve   idle",
        "2    36 s    18 s   0           vxlan    idle",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min")],
)
def test_times_are_spoken(seconds: float, text: str) -> None:
    """Times are said as people say them."""
    assert spoken(seconds) == text
