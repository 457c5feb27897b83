"""What is made of a results folder for others: tables, RO-Crate, the archive for artifact evaluation."""

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from resultsfolders import OVERLAYS, write_folder

from experiments.results import bundle, finish, load
from kubinet.cli.main import run as kubinet
from kubinet.errors import UsageError

pytestmark = pytest.mark.slow

_HEAD, _CLAIMS = OVERLAYS.split("  claims:")
SHORT = "  claims:".join([_HEAD.split("  - {metric: rtt, by: [overlay], figure: ecdf")[0], _CLAIMS])
FAILED = {"state": "failed", "error": "DeadlineError: pod a is not ready"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_folder(
        tmp_path_factory.mktemp("b") / "overlay-cost-x", experiment=SHORT, repetitions=6, changes={4: FAILED}
    )
    finish(path)
    return path


@pytest.fixture(scope="module")
def unpacked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("u")
    subprocess.run(["tar", "xzf", str(bundle(load(folder), place / "artifact.tar.gz")), "-C", str(place)], check=True)
    return place / "overlay-cost-x"


def check_crate(root: Path) -> dict[str, dict[str, Any]]:
    """The structure that RO-Crate 1.1 demands; returns the entities by their @id."""
    document = json.loads((root / "ro-crate-metadata.json").read_text())
    assert document["@context"] == "https://w3id.org/ro/crate/1.1/context"
    entities = {one["@id"]: one for one in document["@graph"]}
    assert len(entities) == len(document["@graph"])
    descriptor = entities["ro-crate-metadata.json"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    dataset = entities["./"]
    assert dataset["@type"] == "Dataset"
    assert {"name", "description", "datePublished", "license", "hasPart"} <= set(dataset)
    for one in entities.values():
        assert "@type" in one
        for value in one.values():
            for reference in value if isinstance(value, list) else [value]:
                if isinstance(reference, dict):
                    assert list(reference) == ["@id"]  # flat: entities refer to each other
                    assert reference["@id"] in entities or reference["@id"] == "https://w3id.org/ro/crate/1.1"
        if one["@type"] == "File":
            assert int(one["contentSize"]) == (root / one["@id"]).stat().st_size
        if one["@type"] == "Dataset":
            assert (root / one["@id"]).is_dir()
    return entities


def test_finish_makes_everything(folder: Path) -> None:
    """Tables, report, figures, read-me and metadata; all samples are in the tables."""
    names = (
        *("README.md", "report.html", "report.md", "runs.csv", "runs.parquet", "summary.csv", "summary.json"),
        *("ro-crate-metadata.json", "figures/01-rtt.svg", "figures/01-rtt.pdf", "figures/01-rtt.png"),
    )
    assert [name for name in names if not (folder / name).is_file()] == []
    assert len(pd.read_parquet(folder / "runs.parquet")) == 17 * 40
    assert "Question: What does the overlay cost in round-trip time?" in (folder / "README.md").read_text()


def test_the_folder_is_a_research_object_crate(folder: Path) -> None:
    """The metadata name every file and run, when each run went and with which version."""
    entities = check_crate(folder)
    assert {"experiment.yaml", "runs.parquet", "report.html", "figures/01-rtt.svg"} <= set(entities)
    levels = load(folder).records[4].planned.levels["overlay"]
    assert entities["runs/0004/"]["name"] == f"Run 4: overlay={levels}, repetition 1"
    assert entities["#run-4"] == {
        "@id": "#run-4",
        "@type": "CreateAction",
        "name": "Run 4",
        "instrument": {"@id": "#kubinet"},
        "object": {"@id": "experiment.yaml"},
        "result": {"@id": "runs/0004/"},
        "startTime": "2026-09-21T14:14:00+00:00",
        "endTime": "2026-09-21T14:14:09+00:00",
        "actionStatus": "http://schema.org/FailedActionStatus",
        "error": "DeadlineError: pod a is not ready",
    }
    assert entities["#kubinet"]["softwareVersion"] == "0.1.0 (commit 0123abcd)"
    assert entities["./"]["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}


def test_the_bundle_holds_what_committees_ask_for(unpacked: Path) -> None:
    """Read-me, licence, claims, appendix, two scripts, results and metadata."""
    assert sorted(path.name for path in unpacked.iterdir()) == [
        *("LICENSE", "README.md", "appendix.md", "claims.yml", "figures", "reproduce", "results"),
        "ro-crate-metadata.json",
    ]
    assert (unpacked / "results" / "runs" / "0003" / "samples.csv").is_file()
    entities = check_crate(unpacked)
    assert entities["./"]["license"] == {"@id": "LICENSE"}
    assert entities["reproduce"]["name"] == "Script: runs the experiment again and compares"
    assert [os.access(unpacked / name, os.X_OK) for name in ("reproduce", "figures", "README.md")] == [
        True,
        True,
        False,
    ]


def test_claims_name_experiment_tolerance_and_verdict(unpacked: Path) -> None:
    """claims.yml says of each claim what was measured and whether that shows it."""
    document = yaml.safe_load((unpacked / "claims.yml").read_text())
    assert document["experiment"] == {
        "name": "overlay-cost",
        "file": "results/experiment.yaml",
        "reproduce": "./reproduce",
        "expectedTime": "3 min",
        "expectedDisk": "3.6 MB",
    }
    first = document["claims"][0]
    assert {name: first[name] for name in ("id", "where", "against", "relation", "bound", "tolerance", "verdict")} == {
        "id": "C1",
        "where": {"overlay": "vxlan"},
        "against": {"overlay": "direct"},
        "relation": ">",
        "bound": 1.0,
        "tolerance": 0.05,
        "verdict": "shown",
    }
    assert first["measured"]["low"] > 1.05
    assert [one["verdict"] for one in document["claims"]] == ["shown", "shown", "not shown"]
    assert document["published"][0]["claims"] == ["C1"]


def test_the_appendix_fits_two_pages_and_states_needs(unpacked: Path) -> None:
    """Sections as committees name them; fewer words than two pages hold; time, disk, version and claims."""
    text = (unpacked / "appendix.md").read_text()
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        *("Artifact appendix (draft)", "Abstract", "Description and requirements", "Set-up", "Evaluation"),
        *("Major claims", "Experiment (E1): overlay-cost", "Messages that are no fault", "Reuse"),
    ]
    assert len(text.split()) < 900
    for part in ("commit `0123abcd`", "3 min of machine time", "A processor, 2 CPUs", "**(C1)** VXLAN costs"):
        assert part in text


def test_bundles_are_the_same_again(folder: Path, tmp_path: Path) -> None:
    """The same folder gives the same bytes, whatever the time."""
    first = bundle(load(folder), tmp_path / "a.tar.gz").read_bytes()
    os.utime(folder / "runs.csv", (1, 1))
    assert bundle(load(folder), tmp_path / "b.tar.gz").read_bytes() == first


def test_a_bundle_takes_a_licence_of_ones_own(folder: Path, tmp_path: Path) -> None:
    """The licence is that of the file that was named."""
    (tmp_path / "MINE").write_text("Do what you like.\n")
    out = tmp_path / "a.tgz"
    assert kubinet(["bundle", str(folder), "-o", str(out), "--license", str(tmp_path / "MINE")]) == 0
    with tarfile.open(out) as archive:
        member = archive.extractfile("overlay-cost-x/LICENSE")
        assert member is not None
        assert member.read() == b"Do what you like.\n"


@pytest.mark.parametrize(("name", "message"), [("a.zip", "ends with .tar.gz"), ("a.tar.gz", "cannot be inside")])
def test_wrong_archives_are_refused(folder: Path, tmp_path: Path, name: str, message: str) -> None:
    """An archive of another kind, or inside what it holds, is refused."""
    place = folder if "inside" in message else tmp_path
    with pytest.raises(UsageError, match=message):
        bundle(load(folder), place / name)


def test_claims_are_judged_in_another_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`kubinet compare --claims`: exit 1 where a claim that was shown is not shown any more."""
    same = write_folder(tmp_path / "same", experiment=SHORT, repetitions=6, seed=8)
    assert kubinet(["compare", str(folder), str(same), "--claims"]) == 0
    assert "2 of 2 claims that the first shows are shown by the second." in capsys.readouterr().out

    def equal(run, dice):
        yield {"source": "", "target": "", "metric": "rtt", "sequence": 0, "time_s": 1, "value": 1, "unit": "ms"}

    other = write_folder(tmp_path / "other", experiment=SHORT, repetitions=6, readings=equal)
    assert kubinet(["compare", str(folder), str(other), "--claims", "-o", "json"]) == 1
    assert {one["id"]: one["lost"] for one in json.loads(capsys.readouterr().out)} == {
        "C1": True,
        "C2": False,
        "C3": False,
    }
    assert kubinet(["compare", str(folder), str(other), "--claims", "--metric", "rtt"]) == 2
