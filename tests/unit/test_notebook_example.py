"""The notebook example and the Python examples of the documentation, executed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOK = ROOT / "examples" / "notebooks" / "experiment.ipynb"
PAGE = ROOT / "docs" / "python-api.md"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each code cell prints or shows, as text."""
    place = tmp_path_factory.mktemp("notebook")
    copy = place / "executed.ipynb"
    # The folders of Jupyter and IPython are in the home folder otherwise, which tests leave alone.
    own = {name: str(place) for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "TMPDIR")}
    main = "from nbclient.cli import main; main()"
    command = [sys.executable, "-c", main, f"--output={copy}", "--timeout=300", str(NOTEBOOK)]
    done = subprocess.run(
        command, env={**os.environ, **own, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [_shown(cell) for cell in json.loads(copy.read_text())["cells"] if cell["cell_type"] == "code"]


def _shown(cell: dict[str, Any]) -> str:
    parts = []
    for output in cell["outputs"]:
        assert output["output_type"] != "error", output
        data = output.get("data", {})
        parts.append(output.get("text") or data.get("image/svg+xml") or data.get("text/plain") or "")
    return "".join("".join(part) for part in parts)


def test_the_notebook_runs_and_says_what_is_in_the_data(outputs: list[str]) -> None:
    """Design, excluded run, comparison, figure, claims and comparison come out as the made-up data are."""
    imports, design, ran, excluded, medians, analysis, figure, made, changes = outputs
    assert (imports, ran) == ("", "")
    assert design.splitlines() == [
        "What does the overlay cost in round-trip time?",
        "{'overlay': ['direct', 'vxlan', 'geneve']}",
        "6 repetitions, blocked order, seed 7",
    ]
    assert "invalid: no idle CPU in 5 of 8 s" in excluded
    assert [line.split()[0] for line in medians.splitlines()[2:]] == ["direct", "geneve", "vxlan"]
    assert re.search(r"vxlan  p50: 1\.4\d ms; \+0\.\d\d ms against direct \(\w+\)", analysis)
    assert "<svg" in figure
    assert "[('C1', 'shown'), ('C2', 'shown'), ('C3', 'not shown')]" in made
    assert "('vxlan', 'p50', 'same')" in changes


def test_the_notebook_is_kept_without_outputs() -> None:
    """Outputs of one machine are not part of the example."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code" and cell["outputs"]] == []


def test_python_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block of docs/python-api.md that needs no cluster runs, one after the other."""
    shutil.copytree(ROOT / "tests" / "data" / "overlay-cost", tmp_path / "results" / "overlay-cost")
    shutil.copytree(ROOT / "tests" / "data" / "overlay-cost", tmp_path / "results" / "later")
    shutil.copy(ROOT / "tests" / "data" / "overlay-cost" / "experiment.yaml", tmp_path / "overlay.yaml")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    ran = [block for block in blocks if "run_experiment" not in block]
    names: dict[str, Any] = {}
    for block in ran:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(ran) >= 6
    assert (tmp_path / "results" / "overlay-cost" / "report.html").is_file()
