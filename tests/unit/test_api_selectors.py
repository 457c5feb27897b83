"""Label and field selectors of the API."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.selectors import LabelSelector, Requirement, parse_fields, parse_labels
from controller.api.status import StatusError

FIELDS = {"metadata.name": ("metadata", "name"), "spec.nodeName": ("spec", "nodeName"), "spec.on": ("spec", "on")}


@pytest.mark.parametrize(
    ("text", "labels", "selected"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "c"}, False),
        ("a!=b", {}, True),
        ("a in (x, y),c", {"a": "y", "c": ""}, True),
        ("a in (x,y)", {}, False),
        ("a notin (x)", {}, True),
        ("!a", {"a": "1"}, False),
        ("a", {"a": ""}, True),
        ("a=", {"a": ""}, True),
        ("n>3", {"n": "4"}, True),
        ("n<3", {"n": "x"}, False),
        ("kubernetes.io/hostname=n1", {"kubernetes.io/hostname": "n1"}, True),
    ],
)
def test_label_selectors(text: str, labels: dict[str, str], selected: bool) -> None:
    """A selector selects what upstream's does."""
    assert parse_labels(text).matches(labels) is selected


@pytest.mark.parametrize("text", ["a in", "a in (x", "=b", "a=b c", "a,,b", "a in x", "-a=b", "n>x", "a=b,"])
def test_malformed_label_selectors(text: str) -> None:
    """A malformed selector is a 400 that quotes it."""
    with pytest.raises(StatusError) as caught:
        parse_labels(text)
    assert (caught.value.code, text in caught.value.message) == (400, True)


@given(st.text(max_size=40))
def test_any_text_is_a_selector_or_a_400(text: str) -> None:
    """No text makes the parser fail in another way."""
    try:
        parse_labels(text).matches({"a": "b"})
    except StatusError as error:
        assert error.code == 400


NAMES = st.from_regex(r"[a-z]([a-z0-9]{0,5})", fullmatch=True)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["in", "notin"]), st.sets(NAMES, min_size=1, max_size=3)), max_size=4))
def test_printed_selectors_parse_back(terms: list[tuple[str, str, set[str]]]) -> None:
    """What is written as set-based terms is read back as the same requirements."""
    text = ",".join(f"{key} {operator} ({','.join(sorted(values))})" for key, operator, values in terms)
    wanted = LabelSelector(tuple(Requirement(key, operator, frozenset(values)) for key, operator, values in terms))
    assert parse_labels(text) == wanted


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("metadata.name=a", True),
        ("metadata.name!=a", False),
        ("spec.nodeName=", True),
        ("spec.nodeName!=,metadata.name==a", False),
        ("spec.on=false", True),
    ],
)
def test_field_selectors(text: str, selected: bool) -> None:
    """An absent field is the empty string; booleans are true and false."""
    assert parse_fields(text, FIELDS).matches({"metadata": {"name": "a"}, "spec": {"on": False}}) is selected


def test_unknown_field_label() -> None:
    """A field that a kind cannot select by is a 400 naming it."""
    with pytest.raises(StatusError, match=r"field label not supported: spec\.replicas"):
        parse_fields("spec.replicas=1", FIELDS)
