"""What a shell completes without a cluster to ask."""

from pathlib import Path

import pytest
from completion import offered


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster runs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("KUBINET_CLUSTER", "KUBINET_API", "KUBINET_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kubinet up l", ["leaf-spine", "linear"]),
        ("kubinet topology show fa", ["fat-tree"]),
        ("kubinet run servi", ["service_load_balancing", "services-scale"]),
    ],
)
def test_presets_and_experiments_need_no_cluster(
    line: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that begin as the word does are offered."""
    assert offered(line, monkeypatch, capsys) == words


@pytest.mark.parametrize("line", ["kubinet get po", "kubinet down --name "])
def test_nothing_is_offered_where_no_cluster_can_be_asked(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kinds and names are a cluster's own, and none runs."""
    assert offered(line, monkeypatch, capsys) == []
