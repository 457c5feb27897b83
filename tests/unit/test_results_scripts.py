"""A bundle's scripts and read-me: what an artifact evaluator types, and what comes of it."""

import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from resultsfolders import OVERLAYS, write_folder

from experiments.design.model import FactorDesign, Level, ParameterDesign, WorkloadDesign
from experiments.results import bundle, load
from experiments.results.installing import readme
from experiments.results.scripts import reproduce_script

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("b") / "overlay-cost-x", experiment=OVERLAYS, repetitions=2)


@pytest.fixture(scope="module")
def unpacked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("u")
    subprocess.run(["tar", "xzf", str(bundle(load(folder), place / "artifact.tar.gz")), "-C", str(place)], check=True)
    return place / "overlay-cost-x"


FAKE = """#!/bin/sh
echo "$@" >> "$LOG"
case "$1" in
run)
    case "$*" in
    *--resume*) folder=$3 state=complete ;;
    *) for place; do :; done
       folder=$place/overlay-cost-20261126T000000Z-0000 state=${STATE:-complete} ;;
    esac
    mkdir -p "$folder"
    echo "{\\"state\\": \\"$state\\"}" > "$folder/session.json"
    test "$state" = complete ;;
compare) case "$*" in *--claims*) exit "${CLAIMS:-0}" ;; *) exit 1 ;; esac ;;
esac
"""
AGAIN = "overlay-cost-20261126T000000Z-0000"


class Fake:
    """An unpacked bundle with a `kubinet` that writes down how it is called."""

    def __init__(self, artifact: Path, place: Path) -> None:
        self.artifact = artifact
        self.place = place
        (place / "kubinet").write_text(FAKE)
        (place / "kubinet").chmod(0o755)

    def reproduce(self, *arguments: str, **variables: str) -> tuple[int, list[str]]:
        """The script's exit status, and what was asked of `kubinet`; KUBINET is named relative to where one is."""
        log = self.place / "log"
        log.write_text("")
        environment = {**os.environ, "KUBINET": "./kubinet", "LOG": str(log), **variables}
        done = subprocess.run(
            [str(self.artifact / "reproduce"), *arguments],
            env=environment,
            capture_output=True,
            check=False,
            cwd=self.place,
        )
        return done.returncode, log.read_text().splitlines()


@pytest.fixture
def fake(unpacked: Path, tmp_path: Path) -> Fake:
    """A copy of the bundle in a folder with a blank in its name."""
    artifact = tmp_path / "an artifact"
    shutil.copytree(unpacked, artifact)
    (tmp_path / "bin").mkdir()
    return Fake(artifact, tmp_path / "bin")


def asked(place: str) -> list[str]:
    """What a complete reproduction in this folder ends with."""
    folder = f"{place}/{AGAIN}"
    return [f"report {folder} --open-nothing", f"compare results {folder}", f"compare results {folder} --claims"]


RUN = "run results/experiment.yaml"


def test_the_reproduce_script_is_safe_to_run_twice(fake: Fake) -> None:
    """First it runs the experiment; interrupted it resumes; complete it only reports and compares."""
    assert fake.reproduce(STATE="interrupted") == (2, [f"{RUN} --output-dir reproduced"])
    assert fake.reproduce() == (0, [f"run --resume reproduced/{AGAIN}", *asked("reproduced")])
    assert fake.reproduce() == (0, asked("reproduced"))


def test_what_was_interrupted_goes_on_where_it_was(fake: Fake) -> None:
    """On the same workers or as many at a time; the rest of the arguments is in the folder already."""
    words = ("--seed", "3", "--workers", "ssh:a,b", "--jobs=2")
    place = "reproduced-seed-3-workers-ssh-a,b-jobs=2"
    assert fake.reproduce(*words, STATE="interrupted")[0] == 2
    resumed = f"run --resume {place}/{AGAIN} --workers ssh:a,b --jobs=2"
    assert fake.reproduce(*words) == (0, [resumed, *asked(place)])


def test_a_quick_run_is_no_reproduction(fake: Fake) -> None:
    """`--quick` judges no claim, and the whole experiment is run after it all the same, each in its own folder."""
    quick = f"{RUN} --quick --output-dir reproduced-quick"
    assert fake.reproduce("--quick", CLAIMS="1") == (0, [quick, asked("reproduced-quick")[0]])
    assert fake.reproduce() == (0, [f"{RUN} --output-dir reproduced", *asked("reproduced")])


def test_arguments_choose_the_folder(fake: Fake) -> None:
    """Results of other arguments are never taken for those of the experiment as it is."""
    place = "reproduced-reps-3-set-overlay=vxlan,direct"
    words = ("--reps", "3", "--set", "overlay=vxlan,direct")
    assert fake.reproduce(*words) == (0, [f"{RUN} {' '.join(words)} --output-dir {place}", *asked(place)])
    assert fake.reproduce(*words) == (0, asked(place))


def test_the_exit_status_says_whether_claims_are_shown_again(fake: Fake) -> None:
    """1: a claim is not; 2: the experiment did not end. One that its own conditions stop is compared."""
    assert fake.reproduce(CLAIMS="1")[0] == 1
    assert fake.reproduce("--seed", "3", STATE="failed") == (
        2,
        [f"{RUN} --seed 3 --output-dir reproduced-seed-3"],
    )
    place = "reproduced-seed-4"
    assert fake.reproduce("--seed", "4", STATE="stopped") == (
        0,
        [f"{RUN} --seed 4 --output-dir {place}", *asked(place)],
    )
    assert fake.reproduce("--seed", "4") == (0, asked(place))


def test_without_claims_nothing_is_judged(folder: Path) -> None:
    """An experiment that states none is run and compared; the read-me does not promise more."""
    results = load(folder)
    plain = replace(results, design=replace(results.design, claims=(), published=()))
    assert "--claims" not in reproduce_script(plain)
    assert "the experiment states no claims: compare the tables" in readme(plain, 1000)


def test_an_experiment_in_python_is_reproduced_by_its_name(folder: Path) -> None:
    """Its own analysis comes with its name: the script names it, and everything that was set; `--quick` shortens it."""
    results = load(folder)
    parameters = {"words": "two words", "fast": True, "seconds": 2}
    declared = {"seconds": ParameterDesign(quick=1)}
    overlay = FactorDesign("overlay", (Level("geneve", {"topology.network.overlay": "geneve"}, "geneve"),), "")
    design = replace(results.design, parameters=parameters, declared=declared, factors=(overlay,))
    python = replace(results, design=design, plan={"implementation": "package.module:Class"})
    settings = "--topology leaf-spine --nodes 4 --set topology.network.overlay=geneve -p 'words=two words' -p fast=true"
    assert (
        '    if [ -n "$quick" ]; then\n'
        f'        set -- overlay-cost --seed 7 {settings} "$@"\n'
        "    else\n"
        f'        set -- overlay-cost --seed 7 --repetitions 8 {settings} -p seconds=2 "$@"\n'
        "    fi\n"
    ) in reproduce_script(python)


def test_the_network_of_an_experiment_in_python_is_in_the_archive(folder: Path, tmp_path: Path) -> None:
    """A Topology file that was named on the command line is a file of the archive, and named by the script."""
    results = load(folder)
    text = "apiVersion: kubinet.dev/v1\nkind: Topology\n"
    design = replace(results.design, topology=replace(results.design.topology, source=text))
    python = replace(results, design=design, plan={"implementation": "package.module:Class"})
    with tarfile.open(bundle(python, tmp_path / "a.tar.gz")) as archive:
        files = {one.name: archive.extractfile(one) for one in archive if one.name.count("/") == 1}
        topology, script = (files[f"overlay-cost-x/{name}"] for name in ("topology.yaml", "reproduce"))
        assert topology is not None
        assert topology.read() == text.encode()
        assert script is not None
        assert b"--repetitions 8 --topology topology.yaml -p" not in script.read()


def test_the_read_me_says_what_to_type_first(unpacked: Path) -> None:
    """Kubinet at the commit of the results, then the scripts."""
    text = (unpacked / "README.md").read_text()
    said = re.sub(r"Disk: [\d.]+ kB", "Disk: DISK", text[text.index("## 1.") :])
    assert said == README


README = """## 1. Install Kubinet

The results are of Kubinet, commit `0123abcd` (version 0.1.0).

It needs Linux; `make env` installs the Debian packages that are missing, which takes root, or names them. Running needs
no root. In this folder:

    git clone URL kubinet        # URL: where the authors of this artifact, or Kubinet's, publish it
    git -C kubinet checkout 0123abcd
    make -C kubinet env
    export KUBINET="$PWD/kubinet/bin/kubinet"
    "$KUBINET" doctor

`doctor` says what this machine lacks, and what each lack means.

## 2. See that it works (five minutes)

    ./figures
    ./reproduce --quick

## 3. Run the experiment again (57 s)

    ./reproduce

Results are in `reproduced/`; its last lines say of each claim whether it is shown again. Exit status: 0 every claim
that `results/` shows is shown again, 1 one is not, 2 something is missing or a run failed. After an interruption the
same command goes on.

All scripts may be run twice. Disk: DISK unpacked, the same again for `reproduced/`.
"""


def test_the_read_me_names_what_is_not_kubinets(folder: Path) -> None:
    """Changes that no commit has are applied from the archive; plug-ins of others have to be installed."""
    results = load(folder)
    echo = WorkloadDesign("echo", "theirs.pings:PING", {}, 0)
    ours = WorkloadDesign("flows", "experiments.workloads.flows:FLOWS", {}, 0)
    other = replace(results, design=replace(results.design, workload=(*results.design.workload, echo, ours)))
    git = {"commit": "0123abcd", "dirty": True}
    (folder / "git.diff").write_text("diff\n")
    try:
        text = readme(replace(other, versions={**results.versions, "git": git}), 1000)
    finally:
        (folder / "git.diff").unlink()
    assert "commit `0123abcd` (version 0.1.0), with the changes of `results/git.diff`." in text
    assert 'checkout 0123abcd\n    git -C kubinet apply "$PWD/results/git.diff"\n    make' in text
    assert (
        "The experiment uses plug-ins that are not Kubinet's: `theirs.pings:PING`. Install the packages that they "
        "are part of into Kubinet's environment, or put their modules' folder into `PYTHONPATH`."
    ) in text


def test_an_installation_without_a_commit_is_named_by_its_version(folder: Path) -> None:
    """Then there is no commit to check out."""
    results = load(folder)
    text = readme(replace(results, versions={"kubinet": "0.1.0", "git": None}), 1000)
    assert "The results are of Kubinet, version 0.1.0.\n" in text
    assert "checkout" not in text


def test_scripts_say_what_is_missing(unpacked: Path, tmp_path: Path) -> None:
    """Without kubinet both scripts end with the remedy."""
    for script in ("reproduce", "figures"):
        environment = {"PATH": "/usr/bin:/bin", "KUBINET": str(tmp_path / "nothing")}
        done = subprocess.run([str(unpacked / script)], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"KUBINET=.../bin/kubinet ./{script}" in done.stderr
