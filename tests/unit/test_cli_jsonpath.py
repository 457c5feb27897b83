"""Kubernetes' JSONPath."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubinet.cli.jsonpath import find, render
from kubinet.errors import UsageError

PODS = {
    "items": [
        {"metadata": {"name": "a", "labels": {"a.b/c": "1"}}, "port": 80},
        {"metadata": {"name": "b"}, "port": 443},
    ],
    "nothing": None,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[*].metadata.name}", "a b"),
        ("port {.items[0].port}!", "port 80!"),
        ("{range .items[*]}{.metadata.name}{'\\t'}{.port}{\"\\n\"}{end}", "a\t80\nb\t443\n"),
        ("{range .items[*]}{@.port}{$.items[0].port},{end}", "8080,44380,"),
        ("{.items[?(@.port>80)].metadata.name}", "b"),
        ("{.items[?(@.metadata.name=='a')].port}", "80"),
        ("{.items[?(@.metadata.labels)].metadata.name}", "a"),
        ("{..name}", "a b"),
        ("{.items[-1:].port}", "443"),
        ("{.items[-1].port}", "443"),
        ("{.items[0,1].port}", "80 443"),
        (r"{.items[0].metadata.labels.a\.b/c}", "1"),
        ("{.items[0]['metadata']['name']}", "a"),
        ("{.items[0].metadata.labels}", '{"a.b/c":"1"}'),
        ("{.nothing}{.absent}{.items[7]}", ""),
        ("no expression", "no expression"),
    ],
)
def test_jsonpath_template_prints_what_kubectl_prints(template: str, text: str) -> None:
    """A template prints its values as kubectl does: blanks between values, nothing for what is absent."""
    assert render(template, PODS) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{.a", "jsonpath '{.a': '{' at column 1 is not closed with '}'"),
        ("{end}", "jsonpath '{end}': {end} without {range}"),
        ("{range .a}", "jsonpath '{range .a}': {range} without {end}"),
        ("{.a[x]}", "jsonpath '.a[x]': [x] is neither an index, a slice, a name nor a filter"),
        ("{.a[::0]}", "jsonpath '.a[::0]': [::0] is neither an index, a slice, a name nor a filter"),
        ("{.a[?(@.b==c)]}", "jsonpath '.a[?(@.b==c)]': 'c' is neither a path, a number nor quoted text"),
        ("{'a}", 'jsonpath "{\'a}": the quote at column 2 does not end'),
    ],
)
def test_jsonpath_names_what_is_wrong(template: str, message: str) -> None:
    """A template that cannot be read is an error that says where."""
    with pytest.raises(UsageError) as error:
        render(template, PODS)
    assert str(error.value) == message


def test_jsonpath_braces_and_first_dot_may_be_left_out() -> None:
    """`--sort-by` and custom columns take paths without braces."""
    paths = ["metadata.name", ".metadata.name", "{.metadata.name}"]
    assert [find(path, PODS["items"][0]) for path in paths] == [["a"], ["a"], ["a"]]  # type: ignore[index]


@given(st.text(max_size=40))
def test_jsonpath_any_text_is_rendered_or_refused(template: str) -> None:
    """No template makes anything but a text or a UsageError."""
    with contextlib.suppress(UsageError):
        assert isinstance(render(template, PODS), str)


@given(st.text(alphabet="{}[].*@$?('=\"\\range end0:,-a", max_size=30))
def test_jsonpath_hostile_syntax_is_rendered_or_refused(template: str) -> None:
    """No mixture of the language's own characters makes anything but a text or a UsageError."""
    with contextlib.suppress(UsageError):
        render(template, PODS)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers() | st.text(), max_size=5))
def test_jsonpath_member_is_the_value(values: dict[str, int | str]) -> None:
    """`{.key}` is the value of the key."""
    for key, value in values.items():
        assert render(f"{{.{key}}}", values) == (value if isinstance(value, str) else json.dumps(value))
