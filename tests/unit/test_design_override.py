"""What a user changes of a design: `--set`, `--reps`, `--seed`, `-p`, `--quick`."""

from dataclasses import replace
from pathlib import Path

import pytest
from designs import GOOD, surroundings

from experiments.design.check import check
from experiments.design.document import parse_text
from experiments.design.factors import override, parse_levels, parse_parameters
from experiments.design.model import FactorDesign, Level, ParameterDesign, QuickDesign
from experiments.records import Value
from kubinet.errors import InvalidInputError, UsageError

DESIGN = parse_text(GOOD, "lab.yaml", Path()).design


def _names(factor: FactorDesign) -> list[str]:
    return [level.name for level in factor.levels]


def test_nothing_changed_is_the_same_design() -> None:
    """Without options the design is the file's."""
    assert override(DESIGN) == DESIGN


def test_repetitions_seed_and_parameters() -> None:
    """`--reps`, `--seed` and `-p` replace what the file says; how long a run takes is no longer known from the file."""
    changed = override(DESIGN, repetitions=30, seed=9, parameters={"seconds": 8})
    assert changed == replace(DESIGN, repetitions=30, seed=9, parameters={"seconds": 8}, run_seconds=0.0)


def test_levels_are_chosen_in_the_order_given() -> None:
    """`--set overlay=direct,vxlan` keeps these two, in this order; what speaks of the others goes."""
    changed = override(DESIGN, levels={"overlay": ["direct", "vxlan"]})
    assert _names(changed.factors[0]) == ["direct", "vxlan"]
    assert changed == replace(DESIGN, factors=(changed.factors[0], DESIGN.factors[1]))


def test_a_single_level_that_gets_company_is_kept_apart() -> None:
    """Whoever sweeps a factor that had one level wants to see it; one with several was grouped by the author's will."""
    mtu = FactorDesign("mtu", (Level("1500", {"topology.mtu": 1500}, 1500),), "")
    design = replace(DESIGN, factors=(*DESIGN.factors, mtu))
    apart = [(*one.by, "mtu") for one in DESIGN.analysis]
    assert [one.by for one in override(design, levels={"mtu": ["1400", "1500"]}).analysis] == apart
    assert override(design, levels={"mtu": ["1400"], "overlay": ["direct", "vxlan"]}).analysis == DESIGN.analysis


def test_analysis_of_a_level_that_is_gone_goes_with_it() -> None:
    """It would have no samples; those of levels that are kept stay."""
    of_idle = replace(DESIGN.analysis[1], where={"load": "idle"})
    of_full = replace(DESIGN.analysis[1], where={"load": "full"})
    changed = override(replace(DESIGN, analysis=(of_idle, of_full)), levels={"load": ["idle"]})
    assert changed.analysis == (of_idle,)


def test_what_speaks_of_levels_that_are_gone_goes_with_them() -> None:
    """Without the baseline nothing can be compared: exclusions, baselines and claims go, the analysis stays."""
    changed = override(DESIGN, levels={"overlay": ["vxlan"]})
    assert changed.exclude == ()
    assert changed.analysis == (replace(DESIGN.analysis[0], baseline={}), DESIGN.analysis[1])
    assert changed.claims == ()
    assert changed.published == (replace(DESIGN.published[0], claims=()),)
    assert changed.quick == QuickDesign(2, {"overlay": ("vxlan",)})
    check(changed, surroundings())


@pytest.mark.parametrize("options", [{}, {"quick": True}, {"levels": {"load": ["idle"]}}])
def test_levels_that_never_were_are_left_for_the_check(options: dict[str, object]) -> None:
    """Options hide no mistake: a misspelled level is refused with and without them."""
    exclude = (*DESIGN.exclude, {"overlay": "drect"})
    changed = override(replace(DESIGN, exclude=exclude), **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="factor 'overlay' has no level 'drect'"):
        check(changed, surroundings())


def test_a_factor_of_values_takes_new_ones() -> None:
    """Where levels are values of one path, `--set` may name others, read as YAML reads them."""
    factor = FactorDesign("mtu", tuple(Level(str(n), {"topology.network.mtu": n}, n) for n in (1500, 1400)), "")
    changed = override(replace(DESIGN, factors=(factor,)), levels={"mtu": ["1400", "1300"]})
    assert changed.factors[0].levels == (
        Level("1400", {"topology.network.mtu": 1400}, 1400),
        Level("1300", {"topology.network.mtu": 1300}, 1300),
    )


def test_quick_keeps_few_levels_and_takes_quick_values() -> None:
    """`--quick` takes the file's quick repetitions, levels and parameters; quick again changes nothing."""
    quick = override(DESIGN, quick=True)
    assert (quick.repetitions, _names(quick.factors[0]), quick.parameters) == (2, ["vxlan", "direct"], {"seconds": 1})
    assert (quick.quick, quick.declared) == (QuickDesign(2), {"seconds": ParameterDesign("seconds of TCP", None, 1)})
    assert override(quick, quick=True) == quick


def test_options_win_over_quick() -> None:
    """What is asked for by name is not made quick."""
    quick = override(DESIGN, quick=True, repetitions=3, parameters={"seconds": 4}, levels={"overlay": ["geneve"]})
    assert (quick.repetitions, _names(quick.factors[0]), quick.parameters) == (3, ["geneve"], {"seconds": 4})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["overlay"], "--set 'overlay': write FACTOR=LEVEL,LEVEL, such as overlay=vxlan,direct"),
        (["overlay="], "--set 'overlay=': a level is empty; write FACTOR=LEVEL,LEVEL"),
        (["overlay=a,,b"], "--set 'overlay=a,,b': a level is empty; write FACTOR=LEVEL,LEVEL"),
        (["a=1", "a=2"], "--set a is given twice; put all levels into one"),
    ],
)
def test_words_of_set_that_cannot_be_read(words: list[str], message: str) -> None:
    """`--set` takes a factor and its levels."""
    with pytest.raises(UsageError) as caught:
        parse_levels(words)
    assert str(caught.value) == message


def test_words_of_set() -> None:
    """Levels are separated by commas; blanks around them do not count."""
    assert parse_levels(["overlay=vxlan, direct", "n=1"]) == {"overlay": ("vxlan", "direct"), "n": ("1",)}


@pytest.mark.parametrize(
    ("words", "found"), [([], {}), (["seconds=3"], {"seconds": 3}), (["seconds=0.5"], {"seconds": 0.5})]
)
def test_words_of_parameters(words: list[str], found: dict[str, Value]) -> None:
    """`-p` reads a value as YAML does."""
    assert parse_parameters(DESIGN, words) == found


def test_a_text_parameter_takes_the_word_as_it_is() -> None:
    """A parameter whose default is a text does not become a number or true because it looks like one."""
    assert parse_parameters(replace(DESIGN, parameters={"kind": "x"}), ["kind=on"]) == {"kind": "on"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": {"nodes": ["1"]}}, "experiment 'overlay-cost' has no factor 'nodes'; it has: overlay, load"),
        ({"levels": {"load": ["half"]}}, "factor 'load' has no level 'half'; it has: idle, full"),
        ({"levels": {"overlay": ["5"]}}, "factor 'overlay': '5' is of another type than its levels: vxlan, geneve, "
         "direct"),
        ({"levels": {"overlay": []}}, "factor 'overlay' has no levels left; name at least one"),
        ({"levels": {"overlay": ["vxlan", "vxlan"]}}, "factor 'overlay': a level is named twice; keep one"),
        ({"repetitions": 0}, "0 repetitions measure nothing; give at least 1"),
        ({"seed": -1}, "seed -1 is out of range; give a whole number from 0 to 9223372036854775807"),
        ({"parameters": {"time": 1}}, "experiment 'overlay-cost' has no parameter 'time'; it has: seconds"),
        ({"parameters": {"seconds": 0}}, "experiment 'overlay-cost': parameter 'seconds': 0 is below its minimum 1; "
         "raise it"),
        ({"parameters": {"seconds": "x"}}, "experiment 'overlay-cost': parameter 'seconds': 'x' is not a number, as "
         "its default is"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed(options: dict[str, object], message: str) -> None:
    """Unknown factors, levels and parameters are refused, naming those that there are."""
    with pytest.raises(UsageError) as caught:
        override(DESIGN, **options)  # type: ignore[arg-type]
    assert str(caught.value) == message
