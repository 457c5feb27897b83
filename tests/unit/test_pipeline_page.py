"""The pipeline's page refuses what it does not list, and the generated document is up to date."""

import shutil
import subprocess

import pytest

from controller import compile as compiler
from controller import pipeline, pipeline_docs
from controller.openflow.actions import Ct, Goto, Output
from controller.openflow.fields import IN_PORT, IP, TUN_SRC, Match
from controller.openflow.flow import Category, Flow, Owner
from controller.pipeline import CLASSIFIER, L3_FORWARD, OUTPUT, SPOOF_GUARD, TABLES, PipelineError, Priority
from kubinet.state import Overlay

OWNER = Owner("Pod", "a", "default")


def make(table: pipeline.Table, match: Match, *actions: object) -> Flow:
    return pipeline.flow(table, Priority.NORMAL, match, *actions, owner=OWNER, category=Category.PODS)  # type: ignore[arg-type]


def test_a_match_that_the_page_does_not_list_is_refused_with_table_and_field() -> None:
    """The error names bridge, table and field."""
    with pytest.raises(PipelineError, match=r"br-int table 4 SpoofGuard: matches on tun_src, which the page does not"):
        make(SPOOF_GUARD, Match.of(IP, TUN_SRC(1)))


def test_a_goto_that_the_page_does_not_list_is_refused_with_both_tables() -> None:
    """The error names both tables; a goto to a number without a table as well."""
    with pytest.raises(PipelineError, match=r"br-int table 0 Classifier: sends packets to Output, which the page does"):
        make(CLASSIFIER, Match(), pipeline.goto(OUTPUT))
    with pytest.raises(PipelineError, match=r"sends packets to table 77, which br-int does not have"):
        make(CLASSIFIER, Match(), Ct(1, table=77))


def test_a_goto_stands_last() -> None:
    """Actions after a goto would silently come before it."""
    with pytest.raises(PipelineError, match="is not the last action"):
        make(CLASSIFIER, Match.of(IN_PORT(1)), Goto(L3_FORWARD.number), Output(1))


def test_tables_are_distinct_and_lead_forward() -> None:
    """Names and numbers are unique per bridge; every listed goto exists on the bridge and has a higher number."""
    assert len({table.name for table in TABLES}) == len(TABLES)
    assert len({(table.bridge, table.number) for table in TABLES}) == len(TABLES)
    for table in TABLES:
        for name in table.gotos:
            target = pipeline.table_named(name)
            assert (target.bridge, target.number > table.number) == (table.bridge, True)


def test_every_table_but_the_canaries_has_a_counted_drop_for_what_no_flow_wants() -> None:
    """A table miss is a flow of its own, so it is counted."""
    state = pipeline_docs.example(Overlay.VXLAN)
    flows = [flow for program in compiler.programs(state, state.nodes["n1"]).values() for flow in program.flows()]
    misses = {flow.table for flow in flows if flow.priority == 0 and flow.match == Match() and not flow.actions}
    policy = {40, 42, 44, 48, 70, 72, 74, 78, 80, 88}
    assert misses == {0, 1, 2, 4, 8, 10, 12, 14, 22, 24, 26, 28, 29, 30, 50, 60, 82, 84, 90} | policy


def test_the_document_is_generated_from_the_page() -> None:
    """docs/pipeline.md is what `python -m controller.pipeline_docs` writes."""
    assert pipeline_docs.PAGE.read_text() == pipeline_docs.page()


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="ovs-ofctl is not installed")
@pytest.mark.parametrize("overlay", list(Overlay))
def test_open_vswitch_takes_every_flow_without_weakening_its_match(overlay: Overlay) -> None:
    """`ovs-ofctl parse-flows` accepts all flows of a node and has nothing to say on standard error."""
    state = pipeline_docs.example(overlay)
    for program in compiler.programs(state, state.nodes["n1"]).values():
        table = program.table()
        text = "\n".join(flow.to_text() for flow in table.values())
        done = subprocess.run(
            ["ovs-ofctl", "-O", "OpenFlow15", "parse-flows", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        assert done.stderr == ""
        assert done.stdout.count("ADD") == len(table)
