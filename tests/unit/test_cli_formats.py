"""Small formats of the command line: tables, durations, ages, settings, output formats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubinet.cli.durations import human, seconds
from kubinet.cli.logs import LogOptions, sources_of, whole_lines
from kubinet.cli.printers import printer
from kubinet.cli.settings import parse_settings
from kubinet.cli.table import TablePrinter, text_table
from kubinet.errors import UsageError

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "managedFields": [{}], "labels": {"x": "1"}},
    "spec": {"containers": [{"name": "one", "args": ["a\nb"]}, {"name": "two"}], "initContainers": [{"name": "init"}]},
}


def test_table_has_kubectls_form() -> None:
    """Columns are as wide as their widest cell and three blanks apart; nothing is <none>."""
    text = text_table(("NAME", "READY"), [("a", "1/1"), ("longer", None)])
    assert text == "NAME     READY\na        1/1\nlonger   <none>\n"


def test_table_of_a_watch_keeps_its_widths_and_headers() -> None:
    """Later rows line up with earlier ones and headers are printed once."""
    printer = TablePrinter(("NAME", "N"))
    assert printer.lines([("longer", 1)]) == ["NAME     N", "longer   1"]
    assert printer.lines([("a", 2)]) == ["a        2"]


def test_table_cells_cannot_control_the_terminal() -> None:
    """Line breaks and escape characters in cells are shown, not sent."""
    assert text_table(("A",), [("x\x1b[31m\ny",)]) == "A\nx^[[31m\\ny\n"


@pytest.mark.parametrize(
    ("text", "expected"), [("30", 30.0), ("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("0", 0.0)]
)
def test_duration_is_read_as_kubectl_reads_it(text: str, expected: float) -> None:
    """Durations have units; a bare number means seconds."""
    assert seconds(text, "--timeout") == expected


@given(st.text(max_size=8))
def test_duration_is_a_number_or_refused(text: str) -> None:
    """No text makes anything but seconds or an error that names the option."""
    try:
        assert seconds(text, "--timeout") >= 0
    except UsageError as error:
        assert "--timeout" in str(error)


@pytest.mark.parametrize(
    ("elapsed", "text"),
    [(5, "5s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (2700, "45m"), (19800, "5h30m"), (90000, "25h"),
     (180000, "2d2h"), (1728000, "20d"), (-3, "0s")],
)  # fmt: skip
def test_age_has_kubectls_form(elapsed: float, text: str) -> None:
    """Ages have at most two units."""
    assert human(elapsed) == text


def test_settings_have_yamls_types() -> None:
    """`--set` values are numbers, truth values, lists and texts as YAML reads them."""
    words = ["leaves=4", "rate=100mbit", "fast=true", "names=[a, b]", "empty="]
    assert parse_settings(words) == {"leaves": 4, "rate": "100mbit", "fast": True, "names": ["a", "b"], "empty": ""}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["leaves"], "--set 'leaves': write KEY=VALUE, such as leaves=4"),
        (["a=1", "a=2"], "--set a is given twice; keep one"),
        (["a=[1"], "--set a: '[1' is no YAML value; quote it if it is text"),
    ],
)
def test_settings_that_are_none_are_refused(words: list[str], message: str) -> None:
    """A setting without a value, twice, or with a broken value is an error."""
    with pytest.raises(UsageError) as error:
        parse_settings(words)
    assert str(error.value) == message


def test_yaml_output_is_sorted_and_without_managed_fields() -> None:
    """-o yaml has sorted keys, block text and no managed fields."""
    obj = {"kind": "A", "apiVersion": "v1", "metadata": {"name": "a", "managedFields": []}, "data": {"t": "a\nb\n"}}
    expected = "apiVersion: v1\ndata:\n  t: |\n    a\n    b\nkind: A\nmetadata:\n  name: a\n"
    assert printer("yaml")(obj) == expected


def test_json_output_has_four_blanks() -> None:
    """-o json has kubectl's indentation."""
    assert printer("json")({"kind": "A", "metadata": {"name": "a"}}) == (
        '{\n    "kind": "A",\n    "metadata": {\n        "name": "a"\n    }\n}\n'
    )


def test_custom_columns_show_paths() -> None:
    """-o custom-columns makes a table of paths, <none> where nothing is."""
    show = printer("custom-columns=NAME:.metadata.name,C:.spec.containers[*].name,X:.status.x")
    assert show(POD) == "NAME   C         X\na      one,two   <none>\n"


@pytest.mark.parametrize("output", ["yml", "custom-columns", "custom-columns=A", "jsonpath", "json=x"])
def test_unknown_output_is_refused(output: str) -> None:
    """A format that there is not is an error before anything is asked of the API."""
    with pytest.raises(UsageError, match=r"^-o "):
        printer(output)


def test_logs_default_container_is_said_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    """With several containers the first is read, and standard error says so."""
    assert [one.container for one in sources_of(POD, None, every=False)] == ["one"]
    assert capsys.readouterr().err == 'Defaulted container "one" out of: one, two\n'


def test_logs_unknown_container_names_those_there_are() -> None:
    """A container that the pod has not is an error with its containers."""
    with pytest.raises(UsageError) as error:
        sources_of(POD, "three", every=False)
    assert str(error.value) == "container 'three' is not in pod 'a'; it has: init, one, two"


def test_logs_options_become_the_request() -> None:
    """Only what was asked for is in the request; --tail=-1 means all."""
    options = LogOptions(follow=True, tail=-1, since=0.2, limit_bytes=5)
    expected = {"container": "one", "follow": "true", "sinceSeconds": "1", "limitBytes": "5"}
    assert options.parameters("one") == expected


@given(st.lists(st.binary(max_size=6), max_size=6))
def test_log_lines_lose_no_byte(chunks: list[bytes]) -> None:
    """However the bytes arrive, the same bytes come out, cut after line breaks only."""
    lines = list(whole_lines(chunks))
    assert b"".join(lines) == b"".join(chunks)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines[:-1])
