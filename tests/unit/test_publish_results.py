"""Results in the catalogue's pages: what the tool copies, rewrites and refuses."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from resultsfolders import write_folder

from experiments.results import load
from experiments.results.reporting import report

pytestmark = pytest.mark.slow

TOOL = Path(__file__).parents[2] / "tools" / "publish_results.py"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with documentation of its own."""
    found = importlib.util.spec_from_file_location("publish_results", TOOL)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    (tmp_path / "docs" / "experiments").mkdir(parents=True)
    monkeypatch.setattr(module, "DOCS", tmp_path / "docs")
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete results folder with its report, and a command line with folders of the machine."""
    made = write_folder(tmp_path / "results")
    session = json.loads((made / "session.json").read_text())
    session["sessions"][0]["command_line"] = ["/opt/kubinet/main.py", "run", "overlay.yaml", "-d", "/opt/results"]
    (made / "session.json").write_text(json.dumps(session))
    machine = {"cpu_model": "A processor", "cpus_usable": 2, "kernel": "6.1"}
    (made / "machine.json").write_text(json.dumps(machine))
    report(load(made))
    return made


def test_a_page_gets_what_was_measured(tool: ModuleType, folder: Path) -> None:
    """Between its marks, again and again; report and figures are copied, the command as it was typed."""
    name = json.loads((folder / "summary.json").read_text())["experiment"]
    page = tool.DOCS / "experiments" / f"{name}.md"
    page.write_text(f"# {name}\n\n{tool.BEGIN}\nold\n{tool.END}\n\n## Limits\n")
    tool.publish(folder)
    first = page.read_text()
    tool.publish(folder)
    assert page.read_text() == first
    assert "old" not in first
    assert first.endswith(f"{tool.END}\n\n## Limits\n")
    assert "`kubinet run overlay.yaml` on 2026-09-21 14:13 UTC: 24 runs in 4.0 minutes, 24 valid; 2 CPUs" in first
    assert "| C1 | VXLAN costs round-trip time. | shown |" in first
    assert "| Somebody, Overlays, Example Conference 2020, figure 3 |" in first
    whole = (tool.DOCS / "experiments" / "results" / f"{name}.md").read_text()
    assert "/opt/" not in whole
    pictures = [line.partition("](../../")[2].partition(")")[0] for line in whole.splitlines() if line.startswith("![")]
    assert len(pictures) >= 3
    assert [name for name in pictures if not (tool.DOCS / name).is_file()] == []


def test_a_page_without_the_marks_is_left_as_it_is(tool: ModuleType, folder: Path) -> None:
    """The tool says which lines are missing, and copies nothing."""
    name = json.loads((folder / "summary.json").read_text())["experiment"]
    page = tool.DOCS / "experiments" / f"{name}.md"
    page.write_text(f"# {name}\n\n{tool.BEGIN}\n\n## Limits\n")
    with pytest.raises(SystemExit, match="where the results are to stand"):
        tool.publish(folder)
    assert page.read_text() == f"# {name}\n\n{tool.BEGIN}\n\n## Limits\n"
    assert not (tool.DOCS / "images").exists()
