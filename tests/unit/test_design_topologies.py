"""Topologies of experiments that cannot be made: the line that somebody wrote."""

from pathlib import Path

import pytest
from designs import surroundings

from experiments.design.check import check
from experiments.design.document import parse_text
from kubinet.errors import InvalidInputError

LAB = """\
# two nodes
apiVersion: kubinet.dev/v1
kind: Topology
metadata: {name: lab}
spec:
  nodes:
  - name: n1

  - {name: n2, podCIDR: 10.1.0.0/24}
  switches: [{name: s1}]
  links:
  - endpoints: [n1, s1]
  - {name: slow, endpoints: [n2, s1]}
"""
EXPERIMENT = """\
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: x}
spec:
  question: Is it there?
  workload: [{kind: ping, from: node/n1, to: node/n2}]
  topology:
"""
OUTSIDE = "node 'n2': podCIDR 10.1.0.0/24 is outside network.podCIDR 10.244.0.0/16; choose a part of it"


def _refused(text: str, folder: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        file = parse_text(text, "x.yaml", folder)
        check(file.design, surroundings(), file.where)
    return str(caught.value)


def test_a_topology_that_cannot_be_made_is_refused_with_its_own_line(tmp_path: Path) -> None:
    """The error names the line of the field in the experiment or in the file that it names."""
    body = "".join(f"      {line}\n" for line in LAB.splitlines())
    assert _refused(f"{EXPERIMENT}    inline:\n{body}", tmp_path) == (
        f"x.yaml:17: spec.topology.inline.spec.nodes[1].podCIDR: {OUTSIDE}"
    )
    (tmp_path / "lab.yaml").write_text(LAB)
    assert _refused(f"{EXPERIMENT}    file: lab.yaml\n", tmp_path) == f"lab.yaml:9: spec.nodes[1].podCIDR: {OUTSIDE}"


def test_a_topology_that_levels_change_is_judged_with_them(tmp_path: Path) -> None:
    """What a setting mends is accepted; what it does not is refused with the field, as the text is nobody's."""
    (tmp_path / "lab.yaml").write_text(LAB)
    changed = f"{EXPERIMENT}    file: lab.yaml\n    set: {{network.podCIDR: 10.1.0.0/16}}\n"
    file = parse_text(changed, "x.yaml", tmp_path)
    check(file.design, surroundings(), file.where)
    message = _refused(changed.replace("10.1.0.0", "10.2.0.0"), tmp_path)
    assert message == f"x.yaml:7: spec.topology: spec.nodes[1].podCIDR: {OUTSIDE.replace('10.244', '10.2')}"
