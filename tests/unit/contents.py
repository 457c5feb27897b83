"""What bridges hold after they were given compiled programs."""

from controller import compile as compiler
from controller.openflow.flow import Flow, FlowKey, Group
from controller.program import Program
from kubinet.state import ClusterState

Contents = dict[str, tuple[dict[FlowKey, Flow], dict[int, Group]]]


def contents(programs: "compiler.Programs | Exception") -> Contents:
    """A node's programs as what its bridges hold: flows by key and groups by id. No two objects want one flow."""
    assert not isinstance(programs, Exception)
    return {bridge: holds(program) for bridge, program in programs.items()}


def holds(program: Program) -> tuple[dict[FlowKey, Flow], dict[int, Group]]:
    groups = {group.id: group for group in program.groups()}
    assert len(groups) == program.group_count
    assert len(program.table()) == program.flow_count
    return program.table(), groups


def wanted(state: ClusterState, name: str) -> Contents:
    """What a compiler without a memory says."""
    return contents(compiler.programs(state, state.nodes[name]))
