"""Pictures of topologies."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kubinet.errors import UsageError
from topologies.graph import describe, mermaid, render
from topologies.layout import lay_out
from topologies.model import Link
from topologies.presets import PRESETS
from topologies.resolve import load_topology


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (Link("l", "a", "b"), ""),
        (Link("l", "a", "b", rate=1e8), "100 Mbit/s"),
        (Link("l", "a", "b", rate=1.5e9, delay=2e-3, jitter=1e-4), "1.5 Gbit/s, 2 ± 0.1 ms"),
        (Link("l", "a", "b", rate=64e3, delay=0.5, loss=0.01), "64 kbit/s, 500 ms, 1% loss"),
    ],
)
def test_a_links_label_says_what_it_declares(link: Link, words: str) -> None:
    """Rate, delay with jitter, and loss, in readers' units."""
    assert describe(link) == words


def test_a_mermaid_text_in_full() -> None:
    """One line per vertex and link, a class per role."""
    assert mermaid(load_topology("star", {"nodes": 2, "delay": "1ms"})) == (
        "graph BT\n"
        '  v0["n1"]:::node\n'
        '  v1["n2"]:::node\n'
        '  v2[["s1"]]:::switch\n'
        '  v3>"internet"]:::outside\n'
        "  v0 ---|100 Mbit/s, 1 ms| v2\n"
        "  v1 ---|100 Mbit/s, 1 ms| v2\n"
        "  v3 --- v2\n"
        "  classDef node fill:#cfe5f5,stroke:#0072b2,color:#000\n"
        "  classDef switch fill:#d2eee4,stroke:#009e73,color:#000\n"
        "  classDef outside fill:#eeeeee,stroke:#666666,color:#000\n"
    )


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("nodes", [1, 4, 16])
def test_boxes_do_not_overlap(preset: str, nodes: int) -> None:
    """In the picture of every preset no two boxes (1 wide, half as high) touch."""
    positions = lay_out(load_topology(preset, {"nodes": nodes})).positions
    for (a, (ax, ay)), (b, (bx, by)) in itertools.combinations(positions.items(), 2):
        assert abs(ax - bx) >= 1.05 or abs(ay - by) >= 0.6, f"{a} and {b}"


def test_nodes_are_below_leaves_and_leaves_below_spines() -> None:
    """A fabric is drawn in layers."""
    positions = lay_out(load_topology("leaf-spine")).positions
    heights = {name: y for name, (_, y) in positions.items()}
    assert heights["n1"] == heights["n4"] < heights["leaf1"] == heights["leaf2"] < heights["spine1"]


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_a_picture_is_the_same_every_time(tmp_path: Path, suffix: str) -> None:
    """The same topology gives the same bytes; they begin as the format does."""
    topology = load_topology("leaf-spine", {"nodes": 2})
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    render(topology, first)
    render(topology, second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith({"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[suffix])


def test_a_svg_keeps_names_as_text(tmp_path: Path) -> None:
    """Every vertex's name can be searched for in the SVG."""
    topology = load_topology("wan")
    render(topology, tmp_path / "wan.svg")
    root = ElementTree.parse(tmp_path / "wan.svg").getroot()
    words = {"".join(one.itertext()).strip() for one in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {vertex.name for vertex in topology.vertices} <= words
    assert "London" in words


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    """`topology.bmp` is refused with the suffixes that work."""
    with pytest.raises(UsageError, match=r"a picture is \.svg, \.pdf, \.png"):
        render(load_topology("star"), tmp_path / "topology.bmp")
