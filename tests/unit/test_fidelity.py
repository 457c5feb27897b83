"""The random links and the page of their errors."""

from experiments.fidelity.links import DrawnLink, draw
from experiments.fidelity.measuring import Fidelity, Quantity, in_rounds, seconds_for
from experiments.fidelity.page import Circumstances, render


def test_the_same_seed_draws_the_same_links() -> None:
    """40 links of seed 5, the first one in full; another seed draws others."""
    assert draw() == draw(40, 5)
    assert len(draw()) == 40
    assert draw()[0] == DrawnLink(48.0, 79.5, 3.7)
    assert draw(40, 6) != draw(40, 5)


def test_links_cover_the_range_and_stay_within_it() -> None:
    """Rate 1 to 500 Mbit/s, delay to 100 ms, loss to 5 %; above 200 Mbit/s a rate only."""
    drawn = draw(400, 1)
    assert min(one.rate_mbit for one in drawn) < 1.2 and 450 < max(one.rate_mbit for one in drawn) <= 500
    assert 95 < max(one.delay_ms for one in drawn) <= 100
    assert 4.8 < max(one.loss_percent for one in drawn) <= 5
    assert all(one.delay_ms == one.loss_percent == 0 for one in drawn if one.rate_mbit > 200)
    assert all(one.delay_ms for one in drawn if one.loss_percent)


def test_settings_name_only_what_is_declared() -> None:
    """A link with a rate alone declares nothing else."""
    assert DrawnLink(12.5, 0.0, 0.0).settings == {"rate": "12.5mbit"}
    assert DrawnLink(2.0, 7.1, 0.25).settings == {"rate": "2mbit", "delay": "7.1ms", "loss": "0.25%"}


def test_lossy_links_are_measured_longer_where_they_are_slow() -> None:
    """4,000 full frames, but four seconds at most and one at least."""
    assert seconds_for(DrawnLink(1.0, 0.0, 0.0)) == 1.0
    assert [round(seconds_for(DrawnLink(rate, 5.0, 1.0)), 2) for rate in (1, 20, 100)] == [4.0, 2.42, 1.0]


def _found(rate: float, measured: float, problems: tuple[str, ...], disturbances: tuple[str, ...]) -> Fidelity:
    quantities = (
        Quantity(0, "rate", rate * 1e6, measured * 1e6, 0, 1),
        Quantity(0, "delay", 5e-3, 5.2e-3, 0, 1),
        Quantity(0, "loss", 0.01, 0.013, 0.005, 0.015),
    )
    return Fidelity(DrawnLink(rate, 5.0, 1.0), "netem", quantities, ((0.25, 1.5), None), problems, 1, disturbances)


def _rounds(outcomes: dict[int, list[str]], attempts: int = 5, rounds_left: int = 99) -> list[tuple[str, int]]:
    """Each link's word and attempts; outcomes in turn: `ok`, `off`, `busy` (off on a busy machine)."""
    left = iter(range(rounds_left))

    def measured(number: int) -> Fidelity:
        word = outcomes[number].pop(0)
        return _found(10, 9.8, () if word == "ok" else ("off",), ("no idle CPU",) if word == "busy" else ())

    found = in_rounds(len(outcomes), measured, attempts, lambda: next(left, None) is not None)
    words = ("as declared" if not one.problems else "disturbed" if one.disturbances else "off" for one in found)
    return list(zip(words, (one.attempts for one in found), strict=True))


def test_links_that_are_off_are_measured_again_until_two_quiet_moments_agree() -> None:
    """One good measurement is enough, two bad ones in quiet moments are, and busy moments say nothing."""
    outcomes = {
        0: ["ok"],
        1: ["busy", "off", "ok"],
        2: ["off", "busy", "off"],
        3: ["busy"] * 5,
        4: ["off"] + ["busy"] * 4,
    }
    assert _rounds(outcomes) == [("as declared", 1), ("as declared", 3), ("off", 3), ("disturbed", 5), ("disturbed", 5)]


def test_every_link_is_measured_once_even_when_it_is_late() -> None:
    """Without time no link is measured again."""
    assert _rounds({0: ["busy"], 1: ["ok"], 2: ["off"]}, rounds_left=0) == [
        ("disturbed", 1),
        ("as declared", 1),
        ("disturbed", 1),
    ]


def test_the_page_says_what_kept_its_word_and_what_was_disturbed() -> None:
    """Three links: one as declared, one off, one off on a busy machine, which is left out of the errors."""
    page = render(
        [
            _found(10, 9.8, (), ()),
            _found(20, 10, ("off",), ()),
            _found(30, 1, ("off",), ("no idle CPU",)),
        ],
        Circumstances("2026-11-26", "a processor", 0.5, 5),
    )
    assert (
        "**1 of 3 links are as declared**; 1 were not, while the monitor said that the machine was disturbed." in page
    )
    assert "1 were off although the machine was quiet: these are errors of the emulation." in page
    assert "| rate, % of the declared | 25.25 | 49.49 | 49.49 | 2 |" in page
    assert "| netem | 0.250 | 1.500 | 2 |" in page
    assert "| 10 | 9.8 | 5 | 5.20 | 1 | 1.30 (0.50 to 1.50) | netem | yes |" in page
    assert "| 20 | 10 | 5 | 5.20 | 1 | 1.30 (0.50 to 1.50) | netem | no |" in page
    assert "| 30 | 1 | 5 | 5.20 | 1 | 1.30 (0.50 to 1.50) | netem | no (disturbed) |" in page
