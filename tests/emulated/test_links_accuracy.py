"""Links keep their word: what they declare is measured, with every mechanism that this machine has."""

from pathlib import Path
from typing import Any

import pytest
from sandboxed import call_sandboxed

from kubinet.errors import KubinetError
from topologies.build import Underlay, build
from topologies.links.change import apply_change, changed
from topologies.links.measure import LinkMeasurement, measure
from topologies.links.tools import detect_tools
from topologies.resolve import load_topology

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

LINK = "n1-s1"


def _built(quantities: dict[str, str]) -> Underlay:
    settings = {f"links.{LINK}.{name}": text for name, text in quantities.items()}
    return build(load_topology("star", {"nodes": 2, **settings}), Path("/run"), detect_tools())


def _checked(underlay: Underlay, attempts: int = 8) -> LinkMeasurement:
    """A measurement, again when the machine's other work disturbed it: it must be right once."""
    for _ in range(attempts):
        found = measure(underlay.ends[LINK], probes=120)
        if not found.problems():
            break
    return found


def _describe(underlay: Underlay, found: LinkMeasurement) -> dict[str, Any]:
    return {
        "wire": str(underlay.ends[LINK].wire),
        "problems": list(found.problems()),
    }


def _measure_one(quantities: dict[str, str]) -> dict[str, Any]:
    underlay = _built(quantities)
    answer = _describe(underlay, _checked(underlay))
    underlay.close()
    return answer


@pytest.mark.parametrize("rate", ["1mbit", "10mbit", "100mbit", "500mbit"])
def test_a_rate_is_kept_within_five_percent(rate: str) -> None:
    """Full frames pass a link with a rate at that rate, 5 % at most beside it, in each direction, none lost."""
    assert call_sandboxed(_measure_one, {"rate": rate}, timeout=240.0)["problems"] == []


@pytest.mark.parametrize(
    "quantities",
    [
        {"rate": "100mbit", "delay": "1ms"},
        {"rate": "100mbit", "delay": "10ms"},
        {"rate": "200mbit", "delay": "20ms"},
        {"rate": "10mbit", "delay": "300ms"},
        {"rate": "50mbit", "delay": "5ms", "loss": "2%"},
    ],
)
def test_delay_and_loss_are_kept_beside_the_rate(quantities: dict[str, str]) -> None:
    """Delay is kept within 1 ms + 5 %, loss within chance, and the rate still within 5 %."""
    answer = call_sandboxed(_measure_one, quantities, timeout=240.0)
    assert answer["problems"] == []
    assert answer["wire"] in ("netem", "wirefilter")


def _jitters(quantities: dict[str, str], declared: float) -> list[float]:
    """Both directions' jitter, measured again until both are right once: other work lets frames wait, too."""
    underlay = _built(quantities)
    for _ in range(6):
        found = [one.jitter for one in measure(underlay.ends[LINK], seconds=0, probes=240).directions]
        if all(one == pytest.approx(declared, rel=0.2) for one in found):
            break
    underlay.close()
    return found


def test_jitter_is_a_standard_deviation() -> None:
    """A link of 40 ms with jitter 4 ms has delays whose standard deviation is 4 ms within a fifth."""
    jitters = call_sandboxed(_jitters, {"rate": "10mbit", "delay": "40ms", "jitter": "4ms"}, 4e-3, timeout=240.0)
    assert jitters == [pytest.approx(4e-3, rel=0.2), pytest.approx(4e-3, rel=0.2)]


def _changing() -> list[list[str]]:
    """Problems of a link after each change while it exists."""
    underlay = _built({"rate": "50mbit", "delay": "5ms"})
    found = []
    for settings in ({"delay": "20ms"}, {"rate": "20mbit"}, {"delay": "1ms", "loss": "3%"}, {"loss": "0%"}):
        ends = underlay.ends[LINK]
        underlay.ends[LINK] = apply_change(ends, changed(ends.link, settings, underlay.tools, ends.mtu), underlay.wires)
        found.append(list(_checked(underlay).problems()))
    underlay.close()
    return found


def test_a_link_changes_while_it_runs() -> None:
    """Delay, rate and loss of a running link are what they were set to, one after the other."""
    assert call_sandboxed(_changing, timeout=240.0) == [[], [], [], []]


def _lying() -> list[str]:
    """What is said about a link that is faster and later than it declares."""
    underlay = _built({"rate": "20mbit"})
    ends = underlay.ends[LINK]
    honest = changed(ends.link, {"rate": "10mbit"}, underlay.tools, ends.mtu)
    underlay.ends[LINK] = ends.__class__(**{**{n: getattr(ends, n) for n in ends.__slots__}, "link": honest})
    for _ in range(8):
        found = list(measure(underlay.ends[LINK]).problems())
        if all("rate 20" in words for words in found):  # else the machine's other work disturbed it
            break
    underlay.close()
    return found


def test_a_link_that_lies_is_found_out() -> None:
    """A link declared with 10 Mbit/s that runs at 20 is reported in both directions, with both numbers."""
    problems = call_sandboxed(_lying, timeout=240.0)
    assert len(problems) == 2
    assert all("declared 10 Mbit/s" in words and "rate 20" in words for words in problems)


def _refusals() -> list[str]:
    words = []
    underlay = _built({"rate": "50mbit"})
    ends = underlay.ends[LINK]
    for settings in ({"delay": "5ms"}, {"delay": "x"}, {"mtu": "900"}, {"jitter": "1ms"}):
        try:
            apply_change(ends, changed(ends.link, settings, underlay.tools, ends.mtu), underlay.wires)
        except KubinetError as error:
            words.append(str(error))
    underlay.close()
    return words


def test_changes_that_a_link_cannot_make_are_refused_with_the_reason() -> None:
    """Delay on a link made without, a text that is no time, an unknown quantity, jitter without delay: all refused."""
    assert call_sandboxed(_refusals) == [
        f"link '{LINK}': it was made without delay, jitter and loss and cannot get them while it runs; declare one for "
        "it in the topology, however small (delay: 1us), and set it then",
        f"link '{LINK}': delay: 'x' is not a time such as 500us or 2ms",
        f"link '{LINK}': 'mtu' cannot be set; known: rate, delay, jitter, loss, queue",
        f"link '{LINK}': jitter needs a delay to vary; add delay",
    ]
