"""docs/validity.md has the limits that the rules have."""

from pathlib import Path

import pytest

from experiments.calibration.beyond import TOO_MUCH
from experiments.validity.limits import DEFAULT_LIMITS as LIMITS
from topologies.links import measure

PAGE = (Path(__file__).parents[2] / "docs/validity.md").read_text()


@pytest.mark.parametrize(
    "words",
    [
        f"less than {LIMITS.idle:.0%} in more than {LIMITS.busy_share:.0%} of the seconds",
        f"the hypervisor took more than {LIMITS.steal:.0%} of the time",
        f"over {LIMITS.late_ms:g} ms late, in more than {LIMITS.busy_share:.0%} of the seconds",
        f"over {LIMITS.pause_ms:g} ms late",
        f"over {LIMITS.stopped_ms / 1000:g} s: the machine stood still",
        f"stopped the programs in more than {LIMITS.throttled_share:.0%} of the seconds",
        f"in more than {LIMITS.throttled_invalid:.0%} |",
        f"moved by more than {LIMITS.clock_step_ms:g} ms within a second | by more than "
        f"{LIMITS.clock_jump_ms / 1000:g} s",
        f"off by more than {measure.RATE_TOLERANCE:.0%} (and chance, for lossy links) | by more than {LIMITS.far:.0%}",
        f"off by more than {measure.DELAY_MARGIN * 1e3:g} ms + {measure.DELAY_TOLERANCE:.0%} | by more than "
        f"{LIMITS.far_delay_ms:g} ms + {LIMITS.far:.0%}",
        f"off by more than {measure.JITTER_TOLERANCE:.0%}, 1 ms + 5% of the delay, and chance",
        f"{LIMITS.rate_over:.0%} above the rate | {LIMITS.far:.0%} above the rate",
        f"more than {LIMITS.rate_under:.0%} less, in more than {LIMITS.busy_share:.0%} of such samples",
        f"more than half of a node's packets, and more than {LIMITS.upcall_rate:,.0f} a second",
        f"longer than {LIMITS.controller_s:g} s",
        f"longer than {LIMITS.answer_s:g} s, or longer than {LIMITS.late_answer_s:g} s in more than "
        f"{LIMITS.busy_share:.0%} of the echoes",
    ],
)
def test_the_pages_limits_are_the_rules(words: str) -> None:
    """Each limit of the tables, spelled with the code's own number."""
    assert words in PAGE.replace(" %", "%")


def test_the_words_for_numbers_are_the_codes() -> None:
    """Four standard deviations, half of the packets, twice what was calibrated."""
    assert (measure.SIGMAS, LIMITS.loss_sigmas, LIMITS.upcall_share, TOO_MUCH) == (4, 4, 0.5, 2)
