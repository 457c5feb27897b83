"""What a shell completes without a cluster to ask."""

from pathlib import Path

import pytest

from kubinet.cli.main import run


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster runs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("KUBINET_CLUSTER", "KUBINET_API", "KUBINET_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("kubinet up l", ["leaf-spine", "linear"]),
        ("kubinet topology show fa", ["fat-tree"]),
        ("kubinet run servi", ["service_load_balancing", "services-scale"]),
        ("kubinet get po", [""]),
        ("kubinet down --name ", [""]),
    ],
)
def test_words_that_begin_so_are_offered(
    line: str, offered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Presets and experiments need no cluster; where a cluster would have to be asked nothing is offered or said."""
    monkeypatch.setenv("_KUBINET_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    assert run([]) == 0
    out, err = capsys.readouterr()
    assert (out.removesuffix("\n").split("\n"), err) == (offered, "")
