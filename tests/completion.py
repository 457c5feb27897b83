"""What a shell is offered for a command line."""

import pytest

from kubinet.cli.main import run


def offered(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The words that bash is told for the last one of `line`; nothing is said beside them, whatever goes wrong."""
    monkeypatch.setenv("_KUBINET_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    status = run([])
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    return out.split()
