"""Changes between programs: complete, repeatable, and in an order in which no flow lacks its group."""

from collections.abc import Callable
from itertools import pairwise

from clusters import states
from contents import holds
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import compile as compiler
from controller.compile import Compiler
from controller.features.common import TOPOLOGY
from controller.openflow.actions import Resubmit, ToGroup
from controller.openflow.fields import Match
from controller.openflow.flow import Bucket, Category, Flow, FlowKey, Group, GroupKind
from controller.program import Changes, Layer, Part, Program, apply, differences
from controller.sdn_session import without
from kubinet.state import ClusterState

Held = tuple[dict[FlowKey, Flow], dict[int, Group]]
_parts: dict[tuple[tuple[Flow, ...], tuple[Group, ...]], Part] = {}


def _flow(priority: int, version: int) -> Flow:
    return Flow(22, priority, Match(), (Resubmit(version),), TOPOLOGY, Category.SERVICES)


def _group(number: int, version: int) -> Group:
    return Group(number, GroupKind.SELECT, (Bucket(0, (Resubmit(version),)),), TOPOLOGY)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Few flows and groups in few parts of three layers, so that they come, go, change and move between parts."""
    layers: list[dict[object, tuple[list[Flow], list[Group]]]] = [{}, {}, {}]
    for number in draw(st.sets(st.integers(1, 8))):
        layer, part, version = draw(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)))
        flows, groups = layers[layer].setdefault(part, ([], []))
        if draw(st.booleans()):
            flows.append(_flow(number, version))
        else:
            groups.append(_group(number, version))
    made = []
    for layer_parts in layers:
        contents = {key: (tuple(flows), tuple(groups)) for key, (flows, groups) in layer_parts.items()}
        # Unchanged parts are the same objects, as the compiler has it.
        made.append(Layer({key: _parts.setdefault(one, Part(*one)) for key, one in contents.items()}))
    return Program(tuple(made))


def steps(changes: Changes) -> list[Changes]:
    """The messages of a bundle, one by one."""
    return [
        *(Changes(put_groups=(group,)) for group in changes.put_groups),
        *(Changes(add=(flow,)) for flow in changes.add),
        *(Changes(delete=(flow,)) for flow in changes.delete),
        *(Changes(delete_groups=(number,)) for number in changes.delete_groups),
    ]


def carried_out(held: Held, changes: list[Changes]) -> Held:
    for one in changes:
        held = apply(*held, one)
    return held


@given(st.lists(programs(), min_size=2, max_size=5))
def test_changes_lead_from_any_program_to_any(history: list[Program]) -> None:
    """Flows and groups that come, go, change, or move to another part or layer; nothing is left to change then."""
    held = holds(history[0])
    for before, after in pairwise(history):
        changes = differences(before, after)
        held = apply(*held, changes)
        assert held == holds(after)
        assert bool(changes) is (holds(before) != holds(after))


@given(st.lists(programs(), min_size=2, max_size=4), st.data())
def test_a_list_of_changes_interleaved_with_itself_ends_equal(history: list[Program], data: st.DataObject) -> None:
    """Each message says what is to be, not what to do: sent twice, in whatever mixture, it leads to the same end."""
    pairs = pairwise(history)
    once = [step for before, after in pairs for step in steps(differences(before, after))]
    mixed: list[Changes] = []
    left: list[list[Changes]] = [list(once), list(once)]
    choose: Callable[[], int] = lambda: data.draw(st.integers(0, 1))  # noqa: E731
    while any(left):
        source = left[choose()] or max(left, key=len)
        mixed.append(source.pop(0))
    assert carried_out(holds(history[0]), mixed) == holds(history[-1])
    assert carried_out(holds(history[-1]), once) == holds(history[-1])


@given(programs(), programs())
def test_changes_are_no_more_than_what_differs(before: Program, after: Program) -> None:
    """Equal flows and groups are not sent again, whichever part they are in."""
    (flows, groups), (new_flows, new_groups) = holds(before), holds(after)
    changes = differences(before, after)
    assert {flow.key for flow in changes.add} == {key for key, flow in new_flows.items() if flows.get(key) != flow}
    assert {flow.key for flow in changes.delete} == flows.keys() - new_flows.keys()
    assert {group.id for group in changes.put_groups} == {
        key for key, group in new_groups.items() if groups.get(key) != group
    }
    assert set(changes.delete_groups) == groups.keys() - new_groups.keys()


def pointed_to(flows: dict[FlowKey, Flow]) -> set[int]:
    return {action.group for flow in flows.values() for action in flow.actions if isinstance(action, ToGroup)}


@settings(max_examples=40, deadline=None)
@given(st.lists(states(), min_size=1, max_size=3))
def test_no_flow_ever_points_to_a_group_that_is_not_there(history: list[ClusterState]) -> None:
    """At no message of any bundle: a switch would refuse the flow, or delete it with the group."""
    remembering, held, before = Compiler(), (dict[FlowKey, Flow](), dict[int, Group]()), Program()
    for state in history:
        made = [one for one in remembering.compile(state).values() if not isinstance(one, Exception)]
        after = made[0]["br-int"] if made else Program()
        for step in steps(differences(before, after)):
            held = apply(*held, step)
            assert pointed_to(held[0]) <= held[1].keys()
        assert pointed_to(held[0]) == held[1].keys()
        before = after


@settings(max_examples=40, deadline=None)
@given(states(), st.data())
def test_a_program_without_what_a_switch_refuses_keeps_the_rest(state: ClusterState, data: st.DataObject) -> None:
    """Flows and groups that are refused go; untouched parts are the same objects, so that differences stay small."""
    for node in state.nodes.values():
        program = compiler.programs(state, node)["br-int"]
        items = [*program.flows(), *program.groups()]
        refused = set(data.draw(st.lists(st.sampled_from(items), max_size=3)))
        rest = without(program, refused)
        assert [*rest.flows(), *rest.groups()] == [item for item in items if item not in refused]
        changes = differences(program, rest)
        assert {*changes.delete} == {item for item in refused if isinstance(item, Flow)}
        assert {*changes.delete_groups} == {item.id for item in refused if isinstance(item, Group)}
        assert not changes.add
        assert not changes.put_groups
