"""Whatever a file says, it is taken or refused with its line; nothing else happens."""

import copy
import re
from pathlib import Path
from typing import Any

from designs import GOOD, surroundings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.design.check import check
from experiments.design.document import parse_text
from experiments.design.factors import override
from experiments.design.yamltext import to_yaml
from kubinet.errors import InvalidInputError, KubinetError
from kubinet.manifests import parse_manifests

[_GOOD] = [one.object for one in parse_manifests(GOOD)]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in _places(child, (*path, key)))]


PLACES = [place for place in _places(_GOOD) if place and place[0] == "spec"]
anything = st.recursive(
    st.sampled_from(
        ["", "x", "$(load)", "$(overlay)", "$(", "direct", "topology.nodes", "manifests.Pod/a.spec", "5%", "1s", "p50"]
    )
    | st.integers(-5, 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none(),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "kind", "x"]), inner, max_size=2)
    ),
    max_leaves=3,
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """The good document with up to three values replaced or removed."""
    document: dict[str, Any] = copy.deepcopy(_GOOD)
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(PLACES))
        target: Any = document
        try:
            for part in parents:
                target = target[part]
            if draw(st.booleans()):
                target[last] = draw(anything)
            else:
                del target[last]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return document


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_a_changed_file_is_taken_or_refused_with_its_line(document: dict[str, Any]) -> None:
    """No mistake becomes another exception than ours, and every refusal names file and line."""
    try:
        file = parse_text(to_yaml(document), "lab.yaml", Path("/nonexistent"))
        check(file.design, surroundings(), file.where)
        check(override(file.design, quick=True), surroundings(), file.where)
    except InvalidInputError as error:
        assert re.match(r"lab\.yaml:\d+: ", str(error)), error
    except KubinetError as error:
        assert "is free" in str(error) or "are free" in str(error), error
