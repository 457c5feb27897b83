"""Topologies of experiments that cannot be made: the line that somebody wrote."""

from pathlib import Path
from typing import Any

import pytest
from designs import surroundings

from experiments.design.check import check
from experiments.design.document import parse_text
from experiments.engine.api import prepare
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
HELD = f"{EXPERIMENT}    inline:\n" + "".join(f"      {line}\n" for line in LAB.splitlines())
NAMED = f"{EXPERIMENT}    file: lab.yaml\n"


@pytest.fixture(autouse=True)
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The topology in a file of the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(LAB)


def _check(text: str) -> None:
    file = parse_text(text, "x.yaml", Path())
    check(file.design, surroundings(), file.where, file.of_topology)


def _refused(text: str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        _check(text)
    return str(caught.value)


def _prepare(text: str, **changes: Any) -> None:
    Path("x.yaml").write_text(text)
    prepare("x.yaml", output_dir=Path(), **changes)


def test_a_topology_that_cannot_be_made_is_refused_with_its_own_line() -> None:
    """The error names the line of the field in the experiment or in the file that it names."""
    assert _refused(HELD) == f"x.yaml:17: spec.topology.inline.spec.nodes[1].podCIDR: {OUTSIDE}"
    assert _refused(NAMED) == f"lab.yaml:9: spec.nodes[1].podCIDR: {OUTSIDE}"


def test_a_topology_that_levels_change_is_judged_with_them() -> None:
    """What a setting mends is accepted; what it does not is refused with the field, as the text is nobody's."""
    changed = f"{NAMED}    set: {{network.podCIDR: 10.1.0.0/16}}\n"
    _check(changed)
    message = _refused(changed.replace("10.1.0.0", "10.2.0.0"))
    assert message == f"x.yaml:7: spec.topology: spec.nodes[1].podCIDR: {OUTSIDE.replace('10.244', '10.2')}"


@pytest.mark.parametrize("text", [HELD, NAMED], ids=["held", "named"])
@pytest.mark.parametrize(
    "changes",
    [{"topology": "star", "nodes": 2}, {"levels": {"topology.network.podCIDR": ["10.1.0.0/16"]}}],
    ids=["replaced", "mended"],
)
def test_options_act_before_the_topology_is_judged(text: str, changes: dict[str, Any]) -> None:
    """`--topology` and a `--set` of one of its paths take the place of what could not be made."""
    with pytest.raises(InvalidInputError, match=r"spec.nodes\[1\].podCIDR: node 'n2'"):
        _prepare(text)
    _prepare(text, **changes)


def test_another_topology_is_refused_with_its_own_line() -> None:
    """The file that `--topology` names, not the experiment's line."""
    with pytest.raises(InvalidInputError) as caught:
        _prepare(f"{EXPERIMENT}    {{preset: star, nodes: 2}}\n", topology="lab.yaml")
    assert str(caught.value) == f"lab.yaml:9: spec.nodes[1].podCIDR: {OUTSIDE}"
