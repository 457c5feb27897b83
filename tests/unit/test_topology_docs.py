"""docs/topologies.md and the examples say what the code does."""

import inspect
import re
from pathlib import Path

import pytest

from kubinet.manifests import parse_manifests
from topologies.checks import check
from topologies.document import parse_topology, schema, spell
from topologies.links.quantities import QUANTITIES
from topologies.presets import PRESETS
from topologies.resolve import load_topology

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "topologies.md").read_text()
EXAMPLES = sorted((ROOT / "examples" / "topologies").glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_documented_with_its_parameters(preset: str) -> None:
    """The table's row of a preset names exactly the parameters that the function has."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{preset}` |"))
    assert set(re.findall(r"`(\w+)`", row.split("|")[2])) - {"rate"} == set(
        inspect.signature(PRESETS[preset]).parameters
    ) - {"rate"}


def test_every_field_is_documented() -> None:
    """Each field of the network section and of links that the schema knows has a row; no row is left over."""
    network = schema()["$defs"]["network"]["properties"]
    link = schema()["properties"]["spec"]["properties"]["links"]["items"]["properties"]
    rows = set(re.findall(r"^\| `([a-z]\w+)` \|", PAGE, re.MULTILINE))
    assert rows - set(PRESETS) == set(network) | set(link)
    assert set(QUANTITIES) < rows


def test_the_pages_example_is_valid() -> None:
    """The file that the page shows is accepted."""
    text = next(block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "kind: Topology" in block)
    [manifest] = parse_manifests(text)
    assert check(parse_topology(manifest.object, spell), spell).name == "two-nodes"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(example: Path) -> None:
    """Every file in examples/topologies is accepted and named like its topology."""
    assert load_topology(example).name == example.stem


def test_the_pages_pictures_exist() -> None:
    """Each picture that the page shows is there."""
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE)
    assert pictures
    assert all((ROOT / "docs" / picture).is_file() for picture in pictures)
