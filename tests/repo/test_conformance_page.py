"""The conformance page names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(test_\w+)::(test_\w+)`")


def test_every_test_that_the_page_names_exists() -> None:
    """`file::name` of docs/conformance.md is a function of a file with that name, and there are many."""
    named = set(NAMED.findall((ROOT / "docs" / "conformance.md").read_text()))
    files = {file.stem: file.read_text() for file in (ROOT / "tests").rglob("test_*.py")}
    assert [pair for pair in sorted(named) if f"def {pair[1]}(" not in files.get(pair[0], "")] == []
    assert len(named) > 60
