"""Claims and analyses of combinations of levels that no run has: refused in a file, told where a choice makes it so."""

from dataclasses import replace
from pathlib import Path

import pytest
from designs import GOOD, surroundings

from experiments.design.check import check
from experiments.design.document import parse_text
from experiments.design.factors import override
from experiments.design.model import ExperimentDesign, FactorDesign, Level, Order
from experiments.design.shown import claims_left_out
from kubinet.cli.main import run as kubinet
from kubinet.errors import InvalidInputError

DESIGN = parse_text(GOOD, "lab.yaml", Path()).design
C2 = replace(DESIGN.claims[0], identity="C2", where={"overlay": "vxlan"}, against={"overlay": "direct"})
C3 = replace(C2, identity="C3", against={"overlay": "geneve"})
THREE = replace(
    DESIGN,
    claims=(*DESIGN.claims, C2, C3),
    published=(replace(DESIGN.published[0], claims=("C1", "C2", "C3")),),
)


def _names(design: ExperimentDesign) -> list[str]:
    return [one.identity for one in design.claims]


def test_a_choice_of_levels_leaves_out_what_it_has_no_run_of() -> None:
    """Direct routing is never run at full load: of that load alone C2, the baseline and C1 have no data; C3 has."""
    changed = override(THREE, levels={"load": ["full"]})
    assert _names(changed) == ["C3"]
    assert changed.published[0].claims == ("C3",)
    assert [one.baseline for one in changed.analysis] == [{}, {}]
    check(changed, surroundings())
    assert claims_left_out(changed, THREE) == (
        "claims C1, C2 have no run with the levels that were chosen; the report does not judge them"
    )


def test_nothing_is_told_where_every_claim_has_data() -> None:
    """Other repetitions and seeds leave everything as it is."""
    assert (
        claims_left_out(
            override(THREE, repetitions=2, seed=5, levels={"overlay": ["vxlan", "geneve", "direct"]}), THREE
        )
        == ""
    )


def test_one_claim_is_told_alone() -> None:
    """The line is about one."""
    assert claims_left_out(override(THREE, levels={"load": ["idle"], "overlay": ["vxlan", "direct"]}), THREE) == (
        "claim C3 has no run with the levels that were chosen; the report does not judge it"
    )


def test_what_the_file_never_runs_is_refused_whatever_is_chosen() -> None:
    """The choice does not make it so: the claim stays, and the check names it."""
    never = replace(C2, identity="C4", where={"overlay": "direct", "load": "full"})
    changed = override(replace(DESIGN, claims=(never,), published=()), levels={"overlay": ["vxlan", "direct"]})
    assert _names(changed) == ["C4"]
    with pytest.raises(InvalidInputError, match=r"claim 'C4': no run has overlay=direct, load=full"):
        check(changed, surroundings())


def test_a_claim_that_only_other_levels_make_possible_is_taken_with_them() -> None:
    """Where `--set` takes an excluded level away, what it excluded is run, and the claim has data."""
    length = FactorDesign("length", (Level("5", {"workload.bulk.seconds": 5}, 5),), "")
    full = {"overlay": "direct", "load": "full"}
    claim = replace(C2, where=full, against={"overlay": "vxlan", "load": "full"})
    design = replace(DESIGN, factors=(*DESIGN.factors, length), exclude=({**full, "length": "5"},), claims=(claim,))
    design = replace(design, published=())
    with pytest.raises(InvalidInputError, match=r"claim 'C2': no run has overlay=direct, load=full"):
        check(design, surroundings())
    changed = override(design, levels={"length": ["8"]})
    assert _names(changed) == ["C2"]
    check(changed, surroundings())


def test_runs_that_are_never_in_one_block_are_not_compared() -> None:
    """VXLAN is run at full load only, direct routing idle only: blocks have no pair of them; all runs together have."""
    exclude = ({"overlay": "direct", "load": "full"}, {"overlay": "vxlan", "load": "idle"})
    apart = replace(DESIGN, exclude=exclude, claims=(C2,), published=())
    with pytest.raises(InvalidInputError) as caught:
        check(apart, surroundings())
    assert str(caught.value) == (
        "spec.claims.C2.against: claim 'C2': runs are compared block by block, and no run of overlay=vxlan is in a "
        "block with one of overlay=direct; compare levels that are run beside the same others, or say `order: random`"
    )
    check(replace(apart, order=Order.RANDOM), surroundings())


FILE = """
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: two}
spec:
  question: What is it?
  topology: {preset: star, nodes: 2}
  factors: [{name: count, meaning: echoes, sets: workload.echo.count, levels: [1, 2]}]
  workload: [{name: echo, kind: ping, from: node/n1, to: node/n2}]
  claims: [{id: C1, text: So it is., metric: rtt, where: {count: 2}, against: {count: 1}, relation: "~"}]
"""


def test_the_choice_is_told_before_the_first_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`kubinet run --set` says on standard error which claims it will not judge."""
    (tmp_path / "two.yaml").write_text(FILE)
    assert kubinet(["run", str(tmp_path / "two.yaml"), "--dry-run", "--set", "count=2"]) == 0
    told = "two: claim C1 has no run with the levels that were chosen; the report does not judge it\n"
    assert told in capsys.readouterr().err
    assert kubinet(["run", str(tmp_path / "two.yaml"), "--dry-run"]) == 0
    assert told not in capsys.readouterr().err
