"""The repository's own rules, besides those of `make lint`: examples that can be read, files that are not too long."""

import re
import subprocess
from pathlib import Path

import pytest

from kubinet.manifests import read_manifests

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda path: path.name)
def test_examples_can_be_read(path: Path) -> None:
    """Every example holds objects."""
    assert read_manifests(path)


def test_no_file_is_too_long() -> None:
    """No Python file has more than 500 lines."""
    packages = ("kubinet", "controller", "agents", "topologies", "experiments", "labs", "tests")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    lengths = {str(file.relative_to(ROOT)): file.read_text().count("\n") for file in files}
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}


def test_no_work_is_left_as_a_note() -> None:
    """No file promises work with TO-DO notes."""
    note = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    packages = ("kubinet", "controller", "agents", "topologies", "experiments")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    assert [str(file.relative_to(ROOT)) for file in files if note.search(file.read_text())] == []


def test_no_page_names_a_folder_of_where_it_was_made() -> None:
    """Generated pages and pictures hold no path of their author's machine."""
    path = re.compile(r"/(?:work|root|home/\w+|tmp/full\d*)/|/cli/main\.py ")
    files = [ROOT / "README.md", *(file for kind in ("md", "svg") for file in (ROOT / "docs").rglob(f"*.{kind}"))]
    assert [str(file.relative_to(ROOT)) for file in files if path.search(file.read_text())] == []


def test_every_test_says_a_fact() -> None:
    """Every test function has a docstring."""
    pattern = re.compile(r"^def (test_\w+)\([^:]*?\)(?: -> None)?:\n(?!\s+\"\"\")", re.MULTILINE | re.DOTALL)
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert [f"{file.name}: {name}" for file in files for name in pattern.findall(file.read_text())] == []


def test_makefile_targets_document_themselves() -> None:
    """`make help` lists every phony target that has a description, and there are some."""
    done = run("make", "--no-print-directory", "help")
    assert {"demo", "test", "check"} <= {line.split()[0] for line in done.stdout.splitlines()}


def test_the_vagrant_machine_is_made_by_the_same_scripts() -> None:
    """It installs with the same script, runs `make demo`, and loads every module that an error advises to load."""
    text = (ROOT / "Vagrantfile").read_text()
    assert "tools/install-packages.sh" in text
    assert "make demo" in text
    sources = [file.read_text() for name in ("agents", "topologies") for file in (ROOT / name).rglob("*.py")]
    advised = {name for source in sources for name in re.findall(r"modprobe (\w+)[\")]", source)}
    assert {"openvswitch", "sch_netem", "sch_tbf", "nf_tables", "sctp", "overlay"} <= advised
    (loaded,) = re.findall(r'modules="([\w ]+)"', text)
    assert advised <= set(loaded.split())
