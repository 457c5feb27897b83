"""docs/experiment-files.md and the examples say what the code does."""

import re
from pathlib import Path

import jsonschema
import pytest

from experiments.design.build import write_experiment
from experiments.design.docs import PAGE, table, with_table
from experiments.design.document import parse_text, read_experiment, schema
from experiments.design.factors import override
from experiments.design.model import ExperimentDesign
from experiments.design.paths import ROOTS
from experiments.design.plan import plan
from experiments.design.references import check_references
from experiments.design.specify import specify

ROOT = Path(__file__).resolve().parents[2]
TEXT = PAGE.read_text()
EXAMPLES = sorted((ROOT / "examples" / "experiments").glob("*.yaml"))


def test_the_pages_table_is_the_schemas() -> None:
    """`make docs` has nothing to change: every field of the schema is there, with kind, default and meaning."""
    assert with_table(TEXT) == TEXT


def test_the_schema_is_one() -> None:
    """Editors can use it: it is valid JSON Schema 2020-12 and every field says what it is."""
    jsonschema.Draft202012Validator.check_schema(schema())
    assert not re.search(r"\|  \|$", table(), re.MULTILINE)


def test_the_page_names_every_root_of_a_path() -> None:
    """What a level can set is listed completely."""
    assert set(re.findall(r"`(\w+)[.`]", TEXT.partition("| path |")[2].partition("\n\n")[0])) >= set(ROOTS)


def test_the_pages_file_and_its_python_are_the_same_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest file and the Python of the page describe the same experiment."""
    [small] = [block for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if "kind: Experiment" in block]
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    assert isinstance(names["design"], ExperimentDesign)
    assert read_experiment("mtu.yaml") == parse_text(small, "page", Path()).design == names["design"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_can_be_run(example: Path, tmp_path: Path) -> None:
    """Every example's runs can be specified, quick ones too; it is named like its file and can be written and read."""
    design = read_experiment(example)
    assert design.name == example.stem
    check_references(design, (), ("rtt",))
    for one in (design, override(design, quick=True)):
        assert [specify(one, run).run for run in plan(one)] == list(plan(one))
    write_experiment(design, tmp_path / "again.yaml")
    assert read_experiment(tmp_path / "again.yaml") == design


def test_the_example_has_every_section() -> None:
    """The commented example shows each section of `spec` except `ready`, `published` and `files`."""
    text = (ROOT / "examples" / "experiments" / "overlay-under-load.yaml").read_text()
    sections = set(re.findall(r"^  (\w+):", text, re.MULTILINE))
    fields = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    assert fields - sections == {"ready", "published", "files"}
