"""Policies as flows are the same however one came there."""

from dataclasses import replace

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from policyclusters import clusters

from controller import compile as compiler
from controller.compile import Compiler
from kubinet.state import ClusterState


@given(st.lists(clusters(), min_size=2, max_size=4))
@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_programs_do_not_depend_on_what_was_compiled_before(states: list[ClusterState]) -> None:
    """A compiler that went through other states makes the flows that a new one makes; none conflicts with another."""
    network, nodes = states[0].network, states[-1].nodes
    compilers = Compiler()
    for state in states:
        pods = {key: one for key, one in state.pods.items() if one.node in nodes}
        same = replace(state, network=network, nodes=nodes, pods=pods)
        for name, made in compilers.compile(same).items():
            assert not isinstance(made, Exception)
            fresh = compiler.programs(same, nodes[name])
            for bridge, program in made.items():
                assert program.table() == fresh[bridge].table()
                assert program.flow_count == len(fresh[bridge].table())
