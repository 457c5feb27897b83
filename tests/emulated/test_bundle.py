"""An artifact evaluator's way: a bundle, unpacked elsewhere under another name, run by its own script."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from runcommand import run_command

from kubinet.cli.main import run as kubinet

pytestmark = pytest.mark.emulated

PROGRAM = Path(__file__).parents[2] / "bin" / "kubinet"
EXPERIMENT = """
apiVersion: kubinet.dev/v1
kind: Experiment
metadata: {name: echoes}
spec:
  question: Do echoes between two nodes come back?
  topology: {preset: star, nodes: 2, set: {network.dnsReplicas: 0}}
  parameters: {to: {default: node/n2, meaning: who is to answer}}
  repetitions: 2
  warmup: 0s
  workload: [{name: echo, kind: ping, from: node/n1, to: $(to), count: 20, wait_s: 0.5, silence: true}]
  measures: behaviour
  claims:
  - {id: C1, text: Most come back., metric: lost, relation: <, value: 10}
  - {id: C2, text: It takes less than a second., metric: rtt, relation: <, value: 1000}
"""


@dataclass(frozen=True)
class Evaluator:
    """Somebody with the archive, Kubinet and a home of their own, and nothing else of whoever made it."""

    artifact: Path
    home: Path
    clutter: bytes
    """Where the results were measured, as it would stand in a file."""

    def reproduce(self, *arguments: str) -> tuple[int, list[str]]:
        """The script's exit status and its lines, called from elsewhere."""
        self.home.mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBINET": str(PROGRAM)}
        done = subprocess.run(
            [str(self.artifact / "reproduce"), *arguments],
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        print(done.stdout, done.stderr, sep="\n")
        return done.returncode, done.stdout.splitlines()


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """The results are gone from where they were measured."""
    origin, place = tmp_path_factory.mktemp("author"), tmp_path_factory.mktemp("evaluator")
    (origin / "echoes.yaml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(origin)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        made = run_command("echoes.yaml", "--jobs", "2", folder=Path("results"), seconds=120)
        assert kubinet(["bundle", made["directory"], "-o", str(place / "artifact.tar.gz")]) == 0
    subprocess.run(["tar", "xzf", "artifact.tar.gz"], cwd=place, check=True)
    (unpacked,) = place.glob("echoes-*")
    origin.rename(origin.with_name("gone"))
    return Evaluator(unpacked.rename(place / "an artifact"), place / "home", os.fsencode(origin))


def _cells(line: str) -> list[str]:
    return re.split(" {3,}", line)


def test_nothing_in_the_archive_says_where_it_was_made(evaluator: Evaluator) -> None:
    """Neither a script nor a result names the author's folder, or the folder of the author's Kubinet."""
    clutter = (evaluator.clutter, os.fsencode(PROGRAM.parents[1]))
    naming = [
        str(path.relative_to(evaluator.artifact))
        for path in evaluator.artifact.rglob("*")
        if path.is_file() and any(one in path.read_bytes() for one in clutter)
    ]
    assert naming == []


def test_evaluator_sees_the_claims_again(evaluator: Evaluator) -> None:
    """The experiment runs, its table is shown, each claim has its line, and the exit status is 0."""
    status, lines = evaluator.reproduce("--jobs", "2")
    assert status == 0
    claims = [_cells(line) for line in lines[lines.index("Claims:") + 1 :]]
    assert claims[0] == ["CLAIM", "FIRST", "SECOND", "MEASURED IN THE SECOND"]
    assert [one[:3] for one in claims[1:3]] == [["C1", "shown", "shown"], ["C2", "shown", "shown"]]
    assert re.fullmatch(r"lost, p50 of all runs is \d+ packets \[.*\]; claimed is below 10\.00 packets\.", claims[1][3])
    assert claims[3:] == [[""], ["2 of 2 claims that the first shows are shown by the second."]]
    (again,) = (evaluator.artifact / "reproduced-jobs-2").iterdir()
    assert (again / "report.html").is_file()


def test_claim_that_does_not_hold_again_is_told_by_the_exit_status(evaluator: Evaluator) -> None:
    """Where no pod has the address, all echoes are lost: the claims are not shown, and the exit status is 1."""
    status, lines = evaluator.reproduce("--jobs", "2", "-p", "to=10.244.1.99")
    assert status == 1
    claims = [_cells(line)[:3] for line in lines[lines.index("Claims:") + 2 :]]
    assert claims == [
        ["C1", "shown", "not shown"],
        ["C2", "shown", "no data"],
        [""],
        ["0 of 2 claims that the first shows are shown by the second."],
    ]
