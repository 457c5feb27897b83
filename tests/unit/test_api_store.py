"""The store: versions, history, watches, journal."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.journal import Journal
from controller.api.status import StatusError
from controller.api.store import Change, Store
from kubinet.errors import KubinetError


def _obj(name: str, value: int = 0) -> dict[str, Any]:
    return {"metadata": {"namespace": "n", "name": name}, "value": value}


OPERATION = st.tuples(st.sampled_from(["put", "remove"]), st.sampled_from("abcd"), st.integers(0, 3))
OPERATIONS = st.lists(OPERATION, max_size=30)


@given(OPERATIONS, st.integers(0, 30))
def test_history_rebuilds_every_state(operations: list[tuple[str, str, int]], cut: int) -> None:
    """`select_at` gives the state of a past version, and replaying `since` on it gives the present."""
    store, states = Store(), {0: {}}
    model: dict[str, int] = {}
    for action, name, value in operations:
        if action == "put":
            store.put("k", _obj(name, value))
            model[name] = value
        elif name in model:
            store.remove("k", "n", name)
            del model[name]
        else:
            continue
        states[store.version] = dict(model)
    version = min(cut, store.version)
    then = {key[1]: stored.object["value"] for key, stored in store.select_at("k", "n", version)}
    assert then == states[version]
    for change in store.since("k", version):
        if change.type == "DELETED":
            del then[change.key[1]]
        else:
            assert (change.type == "ADDED") == (change.key[1] not in then)
            then[change.key[1]] = change.new.object["value"]
    assert then == model == {stored.object["metadata"]["name"]: stored.object["value"] for stored in store.select("k")}


@settings(max_examples=20, deadline=None)
@given(OPERATIONS)
def test_a_restart_loses_nothing(tmp_path_factory: pytest.TempPathFactory, operations: list[Any]) -> None:
    """A store opened on the same journal has the same objects and continues the same counter."""
    path = tmp_path_factory.mktemp("journal") / "api.sqlite"
    store = Store(Journal(path))
    for action, name, value in operations:
        if action == "put":
            store.put("k", _obj(name, value))
        elif store.get("k", "n", name):
            store.remove("k", "n", name)
    before = {stored.version: stored.object for stored in store.select("k")}
    store.close()
    again = Store(Journal(path))
    assert {stored.version: stored.object for stored in again.select("k")} == before
    assert again.version == store.version
    again.close()


def test_forgotten_versions_are_410() -> None:
    """A version older than the history, or of the future, is Expired."""
    store = Store(history=3)
    for value in range(6):
        store.put("k", _obj("a", value))
    assert [change.version for change in store.since("k", 3)] == [4, 5, 6]
    for version in (2, 7):
        with pytest.raises(StatusError) as caught:
            store.since("k", version)
        assert (caught.value.code, caught.value.reason) == (410, "Expired")


def test_full_disk_changes_nothing(tmp_path: Path) -> None:
    """When the journal cannot be written, the writer gets a 507, memory stays as it was, and later writes work."""
    journal = Journal(tmp_path / "api.sqlite")
    store = Store(journal)
    store.put("k", _obj("a", 1))
    seen: list[Change] = []
    store.listen("k", seen.append)
    database: sqlite3.Connection = journal._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StatusError, match="database or disk is full") as caught:
        store.put("k", {**_obj("b"), "large": "x" * 100_000})
    assert caught.value.code == 507
    assert (store.version, store.get("k", "n", "b"), seen) == (1, None, [])
    database.execute("PRAGMA max_page_count = 100000")
    assert store.put("k", _obj("b")).version == 2
    store.close()


def test_a_broken_journal_is_a_clear_error(tmp_path: Path) -> None:
    """A file that is no database is named, with the remedy."""
    path = tmp_path / "api.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(
        KubinetError, match=r"api\.sqlite: the API's journal cannot be opened \(file is not a database\)"
    ):
        Journal(path)


def test_listeners_can_stop() -> None:
    """A stopped listener hears nothing more."""
    store, seen = Store(), []
    stop = store.listen("k", lambda change: seen.append(change.version))
    store.put("k", _obj("a"))
    stop()
    store.put("k", _obj("a", 1))
    assert seen == [1]
