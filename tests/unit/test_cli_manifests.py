"""Manifests: what kubectl would read, with lines, and hostile input refused."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubinet.errors import InvalidInputError
from kubinet.manifests import Manifest, load_manifests, parse_manifests, read_manifests
from kubinet.yamldata import parse_documents

POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
)


def value(text: str) -> object:
    return next(parse_documents(text, "t.yaml")).value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 0644", {"a": 420}),
        ("a: 0x1F", {"a": 31}),
        ("a: yes", {"a": True}),
        ("a: off", {"a": False}),
        ("a: 2020-01-01", {"a": "2020-01-01"}),
        ("a: 22:22", {"a": "22:22"}),
        ("a: 1.5", {"a": 1.5}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: '5'", {"a": "5"}),
        ("a: !!str 5", {"a": "5"}),
        ("a:", {"a": None}),
        ("5: a", {"5": "a"}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"d": 2, "b": 1}}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ('{"a": [1, true, null]}', {"a": [1, True, None]}),
    ],
)
def test_yaml_scalars_mean_what_they_mean_to_kubectl(text: str, expected: object) -> None:
    """Scalars follow go-yaml's YAML 1.1: octal numbers, yes and no; no dates, no base 60."""
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "t.yaml:6: more than 1,000,000 values after its aliases are expanded; split the file"),
        ("a: b\nc: d\na: e", 't.yaml:3: key "a" is given twice in one mapping; keep one'),
        ("a: &a [*a]", "t.yaml:1: alias *a has no anchor &a complete before it"),
        ("a: !x b", "t.yaml:1: tag '!x' has no meaning in a manifest; remove it"),
        ("a: .inf", "t.yaml:1: .inf has no form in JSON, which Kubernetes objects are; quote it if it is text"),
        ("? [a]\n: b", "t.yaml:1: a mapping's key must be text"),
        ("a: 1e999", "t.yaml:1: 1e999 is too large a number"),
        ("[" * 200, "t.yaml:1: nested deeper than 100 levels"),
    ],
)
def test_yaml_hostile_or_wrong_text_is_refused_with_its_line(text: str, message: str) -> None:
    """Alias bombs, deep nesting, double keys and values without a JSON form are errors that name the line."""
    with pytest.raises(InvalidInputError) as error:
        value(text)
    assert str(error.value) == message


def test_manifests_keep_the_files_order_and_unfold_lists() -> None:
    """Objects come in the file's order; a List gives its items; empty documents give nothing."""
    text = f"{POD}---\n---\napiVersion: v1\nkind: List\nitems:\n" + "".join(
        f"- {{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}}}\n" for name in "bc"
    )
    found = [(one.object["metadata"]["name"], one.where) for one in parse_manifests(text, "x.yaml")]
    assert found == [
        ("a", "x.yaml:1 (document 1)"),
        ("b", "x.yaml:7 (document 3)"),
        ("c", "x.yaml:7 (document 3)"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "a manifest must be a mapping with apiVersion, kind and metadata, not a list"),
        ("kind: Pod", "field 'apiVersion' is missing; every object says apiVersion and kind"),
        (
            "apiVersion: v1\nkind: 5",
            "field 'kind' must be text, not a number (5); every object says apiVersion and kind",
        ),
        ("apiVersion: v1\nkind: Pod", "Pod: field 'metadata' is missing; every object has a name"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: 5}",
            "Pod: field 'metadata.name' must be text, not a number (5); quote it: \"5\"",
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: {}", "Pod: field 'metadata.name' is missing; every object has a name"),
    ],
)
def test_manifest_that_is_no_object_is_refused(text: str, message: str) -> None:
    """What is no Kubernetes object is an error that names file, line, document and field."""
    with pytest.raises(InvalidInputError) as error:
        parse_manifests(text, "x.yaml")
    assert str(error.value) == f"x.yaml:1 (document 1): {message}"


def test_manifest_knows_the_line_of_a_field() -> None:
    """A refusal by the API is shown at the line of the field that it names, or of its nearest parent."""
    manifest = parse_manifests(f"---\n{POD}---\n{POD}spec:\n  containers:\n  - name: x\n    image: y\n")[1]
    paths: list[list[str | int]] = [["spec", "containers", 0, "image"], ["spec", "containers", 1], ["status"]]
    assert [manifest.line_of(path) for path in paths] == [14, 12, 7]


def test_manifests_of_a_folder_come_by_name(tmp_path: Path) -> None:
    """A folder gives the manifests in it, in the order of the files' names; other files are left alone."""
    for name in ("b.yaml", "a.json", "c.txt"):
        text = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name[0]}})
        (tmp_path / name).write_text(text)
    assert [one.object["metadata"]["name"] for one in read_manifests(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent.yaml", "absent.yaml: cannot be read: No such file or directory; check the path"),
        (
            "https://example.org/a.yaml",
            "https://example.org/a.yaml: manifests are read from files only; download it first: "
            "curl -sSfL https://example.org/a.yaml | kubinet apply -f -",
        ),
    ],
)
def test_manifest_that_cannot_be_read_says_why(path: str, message: str) -> None:
    """A missing file and an address on the web are errors with the remedy."""
    with pytest.raises(InvalidInputError) as error:
        read_manifests(path)
    assert str(error.value) == message


def test_manifest_in_another_encoding_is_refused() -> None:
    """Bytes that are not UTF-8 are an error that names the line."""
    with pytest.raises(InvalidInputError, match=r"^x.yaml:2: byte 0xe4 is not UTF-8 text$"):
        parse_manifests(b"a: b\n\xe4", "x.yaml")


def test_load_manifests_takes_text_and_files(tmp_path: Path) -> None:
    """Scripts give YAML text or a file's name."""
    (tmp_path / "a.yaml").write_text(POD)
    expected = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}]
    assert [load_manifests(POD), load_manifests(tmp_path / "a.yaml")] == [expected, expected]


@given(st.text(max_size=200))
def test_manifests_of_any_text_are_objects_or_an_error(text: str) -> None:
    """No text makes anything but a list of manifests or an InvalidInputError."""
    with contextlib.suppress(InvalidInputError):
        assert all(isinstance(one, Manifest) for one in parse_manifests(text))


@given(st.text(alphabet="{}[]&*a:b -\n'\"!<|>#%0123", max_size=60))
def test_manifests_of_hostile_syntax_are_objects_or_an_error(text: str) -> None:
    """No mixture of YAML's own characters makes anything but manifests or an InvalidInputError."""
    with contextlib.suppress(InvalidInputError):
        parse_manifests(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc<", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_json_is_read_as_json(data: object) -> None:
    """What is valid JSON has JSON's meaning."""
    assert value(json.dumps({"data": data})) == {"data": data}
