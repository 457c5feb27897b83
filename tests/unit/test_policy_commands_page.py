"""docs/policy-commands.md says what the commands print, and has every field of a test."""

import re
from pathlib import Path

import pytest

from kubinet.cli.main import run
from kubinet.manifests import parse_manifests
from kubinet.reach.expectations import schema

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "policy-commands.md").read_text()
EXAMPLES = [
    (words, text)
    for words, text in re.findall(r"```console\n\$ kubinet (policy [^\n]*examples/[^\n]*)\n(.*?)```", PAGE, re.DOTALL)
]


@pytest.mark.parametrize(("words", "text"), EXAMPLES, ids=[words for words, _ in EXAMPLES])
def test_the_page_shows_what_is_printed(
    words: str, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every example that needs no cluster, from its first line on."""
    monkeypatch.chdir(ROOT)
    run(words.split())
    assert capsys.readouterr().out.startswith(text)


def test_there_are_examples_of_each_command() -> None:
    """Four of them need no cluster."""
    assert [words.split()[1] for words, _ in EXAMPLES] == ["matrix", "test", "test", "diff"]


def test_the_pages_test_is_the_examples() -> None:
    """The document on the page is the file that the commands read."""
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    file = (ROOT / "examples" / "policy" / "checks" / "shop-test.yaml").read_text()
    assert parse_manifests(shown)[0].object == parse_manifests(file)[0].object


def test_every_field_of_a_test_is_documented() -> None:
    """Each field that the schema knows has a row, and no row is left over."""
    spec = set(schema()["properties"]["spec"]["properties"]) - {"expectations"}
    known = {f"spec.{name}" for name in spec}
    known |= {f"expectations[].{name}" for name in schema()["$defs"]["expectation"]["properties"]}
    rows = re.findall(r"^\| (`(?:spec\.|expectations\[\]\.)[^|]*) \|", PAGE, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == known
