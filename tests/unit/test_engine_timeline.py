"""What a timeline disturbs on purpose, in the words of a run's watch."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.design.existing import Existing
from experiments.design.plan import plan
from experiments.design.resolved import experiment_yaml
from experiments.design.specify import specify
from experiments.engine.api import prepare
from experiments.engine.timeline import assess_happenings, excused
from experiments.records import Assessment, Verdict
from experiments.timeline.actions import Apply
from experiments.timeline.faults.base import Case
from experiments.timeline.faults.objects import AppliedFile
from experiments.timeline.happenings import Happening
from experiments.timeline.language import parse_action
from experiments.timeline.site import Site
from experiments.timeline.validate import line_checker
from kubinet.errors import InvalidInputError, UsageError

TOPOLOGY = {
    "spec": {
        "links": [
            {"name": "n1-s1", "endpoints": ["n1", "s1"]},
            {"name": "n2-s1", "endpoints": ["n2", "s1"]},
            {"name": "s1-s2", "endpoints": ["s1", "s2"]},
        ]
    }
}


@pytest.mark.parametrize(
    ("action", "subjects"),
    [
        ("link s1-s2 down", ["link s1-s2"]),
        ("set link n1-s1 loss 2%", ["link n1-s1"]),
        ("restart ovs on n2", ["switch n2", "flows n2"]),
        ("crash node n2", ["switch n2", "flows n2", "link n2-s1"]),
        ("stop agent n2", ["switch n2"]),
        ("partition [n1] [n2]", ["switch n1", "switch n2", "link n1-s1", "link n2-s1"]),
        ("partition [controller] [n1]", ["switch n1", "flows n1", "link n1-s1"]),
        ("kill controller", ["controller"]),
        ("scale deploy/web 10", []),
    ],
)
def test_what_is_disturbed_on_purpose_is_excused(action: str, subjects: Sequence[str]) -> None:
    """What a fault concerns, links, switches, the controller, is not held against the run; nothing else is excused."""
    assert list(excused(parse_action(action), TOPOLOGY)) == subjects


def test_a_run_without_what_was_planned_is_suspect() -> None:
    """A fault that the workload did not last for is named in the verdict; one that was injected is not."""
    done = Happening(1000.0, 2.0, "injected", "kill controller", "")
    missed = Happening(1010.0, 12.0, "not reached", "crash node n2", "planned for 30 s, after the end")
    assert assess_happenings([done]) == Assessment()
    reason = "timeline: `crash node n2` was not reached: planned for 30 s, after the end"
    assert assess_happenings([done, missed]) == Assessment(Verdict.SUSPECT, (reason,))


def test_what_the_topology_has_not_is_refused_before_the_first_run() -> None:
    """A line that is no event, an unknown link, a delay on a link without the means: with the remedy."""
    check = line_checker(Path(), {})
    topology = {"spec": {"nodes": [{"name": "n1"}], "links": [{"name": "n1-s1", "endpoints": ["n1", "s1"]}]}}
    run = Existing(topology, (), complete=True, scaled=False)
    check("at 2s: kill controller", run)
    for line, words in (
        ("kill controller", "a line is `at TIME: ACTION`"),
        ("at 2s: link n2-s1 down", "there is no link 'n2-s1' (did you mean 'n1-s1'?); links: n1-s1"),
        ("at 2s: set link n1-s1 delay 5ms", "declare one in the topology, however small"),
        ("at 2s: apply absent.yaml", "there is no file absent.yaml"),
    ):
        with pytest.raises(InvalidInputError, match=re.escape(words)):
            check(line, run)


EXPERIMENT = """
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: files}
spec:
  question: "?"
  topology: {preset: star}
  factors:
  - {name: file, levels: [deny.yaml, "more/allow all.yaml"]}
  timeline: ['at 1s: apply "$(file)"', 'at 2s: delete "two words.yaml"']
  workload: [{name: rest, kind: idle, seconds: 3}]
  expect: {runSeconds: 3}
  quick: {repetitions: 1}
"""


def test_the_files_of_a_timeline_travel_with_the_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of every level, in whatever quotes, are read from the experiment's folder, and then only from its text."""
    there, elsewhere = tmp_path / "a folder", tmp_path / "elsewhere"
    (there / "more").mkdir(parents=True)
    elsewhere.mkdir()
    texts = {
        name: f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c{number}}}}}\n"
        for number, name in enumerate(("deny.yaml", "two words.yaml", "more/allow all.yaml"))
    }
    for name, text in texts.items():
        (there / name).write_text(text)
    (there / "files.yaml").write_text(EXPERIMENT)
    monkeypatch.chdir(elsewhere)
    design = prepare(there / "files.yaml").design
    assert design.files == texts
    (elsewhere / "experiment.yaml").write_text(experiment_yaml(design))
    shutil.rmtree(there)
    again = prepare(elsewhere / "experiment.yaml").design
    assert again == design
    assert [specify(again, run).files for run in plan(again)[:2]] == [texts, texts]
    site = Site(None, files=again.files)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"absent\.yaml: there is no such file"):
        AppliedFile().check(Case(site, Apply("absent.yaml")))
    AppliedFile().check(Case(site, Apply("more/allow all.yaml")))


def test_a_timelines_file_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    """Before the first run, with its name."""
    (tmp_path / "deny.yaml").write_text("a: [")
    for name in ("two words.yaml", "more/allow all.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}")
    (tmp_path / "files.yaml").write_text(EXPERIMENT)
    with pytest.raises(InvalidInputError, match=r"deny\.yaml"):
        prepare(tmp_path / "files.yaml")
