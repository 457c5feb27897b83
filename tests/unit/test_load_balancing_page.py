"""docs/load-balancing.md says what the tests assert."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from balancing_numbers import MOST_CHANGED, MOVED, NEEDLESS, WORST_SHARE

from controller.features.balancing import HASHED_GROUP_LIMIT, LONGEST_LEARNED_SECONDS, RENDEZVOUS_LIMIT
from controller.features.slots import SIZES
from kubinet.state import Algorithm, NetworkConfig

PAGE = Path(__file__).parents[2] / "docs/load-balancing.md"


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(heads), *([str(cell) for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def per_cent(part: float) -> str:
    return f"{100 * part:g} %"


def _flows() -> str:
    counts = sorted({count for some in MOST_CHANGED.values() for count in some})
    rows = [(f"`{name}`", *(some.get(count, 0) for count in counts)) for name, some in MOST_CHANGED.items()]
    return table(["algorithm", *(f"of {count}" for count in counts)], rows)


def _numbers(head: str, numbers: Mapping[int, float], value: str) -> str:
    shown = per_cent if value == "at most" else "{:g}".format
    return table([head, value], ((f"{count:,}", shown(number)) for count, number in numbers.items()))


TABLES = {
    "flows": _flows(),
    "shares": _numbers("endpoints", WORST_SHARE, "ratio"),
    "moved": table(
        ["algorithm", "at least", "at most"],
        ((f"`{name}`", per_cent(least), per_cent(most)) for name, (least, most) in MOVED.items()),
    ),
    "needless": _numbers("endpoints", NEEDLESS, "at most"),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_pages_tables_are_the_numbers_that_tests_assert(name: str) -> None:
    """Each table stands behind its mark."""
    assert f"<!-- {name} -->\n\n{TABLES[name]}\n" in PAGE.read_text()


def test_every_algorithm_has_its_paragraph_and_the_default_is_told() -> None:
    """It begins with the algorithm's name."""
    text = PAGE.read_text()
    assert all(f"\n\n**{name}.** " in text for name in Algorithm)
    assert f"`network.loadBalancer` (`{NetworkConfig().load_balancer}`)" in text


def test_the_pages_limits_are_the_codes() -> None:
    """Group sizes, the smallest slot table, and the longest session affinity that is learned."""
    text = " ".join(PAGE.read_text().split())
    assert f"the same to {RENDEZVOUS_LIMIT} endpoints" in text
    assert f"up to {HASHED_GROUP_LIMIT} endpoints" in text
    assert f"A table of {SIZES[0]} slots or more" in text
    assert f"{LONGEST_LEARNED_SECONDS:,} s" in text
