"""A watch that also tells when objects of other kinds changed, and an informer and a client that use it."""

import asyncio
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apiserver import MAPS, Connection, config_map, serve

from kubinet.client import Client
from kubinet.informer import Informer, View
from kubinet.kubernetes import CHANGES

DEADLINE = 20.0
NAMESPACES = "/api/v1/namespaces"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
NAMED = "namespaces,networkpolicies.networking.k8s.io"


def policy(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"podSelector": {}}}


def version_of(obj: Any) -> int:
    return int(obj["metadata"]["resourceVersion"])


async def _policy(api: Connection, name: str) -> int:
    status, stored = await api.ask("POST", POLICIES, policy(name))
    assert status == 201, stored
    return version_of(stored)


def test_changes_of_other_kinds_are_told_in_their_place(tmp_path: Path) -> None:
    """First the last change of each, then each change between the watch's own ones; deletions are changes."""

    async def scenario(api: Connection) -> None:
        _, namespaces = await api.ask("GET", NAMESPACES)
        last = max(version_of(one) for one in namespaces["items"])
        first = await _policy(api, "a")
        _, listed = await api.ask("GET", MAPS)
        start = listed["metadata"]["resourceVersion"]
        async with api.watch(MAPS, resourceVersion=start, changesOf=NAMED) as event:
            kind, mark = await event()
            assert kind == "BOOKMARK"
            told = f'{{"namespaces":{last},"networkpolicies.networking.k8s.io":{first}}}'
            assert mark["metadata"] == {
                "resourceVersion": start, "creationTimestamp": None, "annotations": {CHANGES: told},
            }  # fmt: skip
            await api.ask("POST", MAPS, config_map("one"))
            added = await _policy(api, "b")
            await api.ask("POST", MAPS, config_map("two"))
            await api.ask("DELETE", f"{POLICIES}/b")
            await api.ask("POST", MAPS, config_map("three"))
            seen = [await event() for _ in range(5)]
            assert [kind for kind, _ in seen] == ["ADDED", "BOOKMARK", "ADDED", "BOOKMARK", "ADDED"]
            versions = [version_of(obj) for _, obj in seen]
            assert versions == [first + step for step in (1, 2, 3, 4, 5)]
            marks = [obj["metadata"]["annotations"][CHANGES] for kind, obj in seen if kind == "BOOKMARK"]
            assert marks == [f'{{"networkpolicies.networking.k8s.io":{number}}}' for number in (added, added + 2)]

    serve(tmp_path, scenario)


def test_a_watch_that_does_not_ask_is_not_told(tmp_path: Path) -> None:
    """Other kinds' changes are nothing to an ordinary watch, and a kind that is not served is refused."""

    async def scenario(api: Connection) -> None:
        async with api.watch(MAPS, resourceVersion="0", allowWatchBookmarks="true", timeoutSeconds="1") as event:
            await _policy(api, "a")
            await api.ask("POST", MAPS, config_map("one"))
            kinds = [(await event())[0] for _ in range(3)]
            assert kinds[-2:] == ["BOOKMARK", "END"]
            assert "BOOKMARK" not in kinds[:-2]
        status, answer = await api.ask("GET", f"{MAPS}?watch=1&changesOf=pods,nothings")
        assert (status, answer["message"]) == (
            400,
            'changesOf: Invalid value: "nothings": no kind of that name is served; '
            "write networkpolicies.networking.k8s.io",
        )

    serve(tmp_path, scenario)


def test_a_restarted_api_counts_forgotten_changes_as_of_its_start(tmp_path: Path) -> None:
    """What changed before is no older than the restart: a copy that ended before is not taken for complete."""

    async def before(api: Connection) -> None:
        await _policy(api, "a")
        await api.ask("POST", MAPS, config_map("one"))

    async def after(api: Connection) -> None:
        client = Client(api.url, "secret")
        last = await asyncio.to_thread(client.last_changes, ["NetworkPolicy", "Namespace"])
        _, listed = await api.ask("GET", POLICIES)
        assert last["NetworkPolicy"] > version_of(listed["items"][0])
        assert (await api.ask("POST", POLICIES, policy("b")))[0] == 201
        again = await asyncio.to_thread(client.last_changes, ["NetworkPolicy", "Namespace"])
        assert again["Namespace"] == last["Namespace"]
        assert again["NetworkPolicy"] > last["NetworkPolicy"]
        client.close()

    serve(tmp_path, before)
    serve(tmp_path, after)


@pytest.mark.slow
def test_an_informer_knows_the_last_changes_up_to_its_version(tmp_path: Path) -> None:
    """Unknown after a list, until the watch has told; then up to date with each of its own objects."""

    async def scenario(api: Connection) -> None:
        first = await _policy(api, "a")
        views: queue.Queue[View] = queue.Queue()
        client = Client(api.url, "secret")
        informer = Informer(
            client, "ConfigMap", on_change=lambda: views.put(informer.moment()), changes_of=["NetworkPolicy"]
        ).start()

        def next_view(holds: Callable[[View], bool]) -> View:
            while True:
                view = views.get(timeout=DEADLINE)
                if holds(view):
                    return view

        assert (await asyncio.to_thread(views.get, timeout=DEADLINE)).changes is None
        told = await asyncio.to_thread(next_view, lambda view: view.changes is not None)
        assert told.changes == {"NetworkPolicy": first}
        second = await _policy(api, "b")
        await api.ask("POST", MAPS, config_map("one"))
        view = await asyncio.to_thread(next_view, lambda view: "default/one" in view.objects)
        assert (view.version, view.changes) == (second + 1, {"NetworkPolicy": second})
        await asyncio.to_thread(informer.stop)
        client.close()

    serve(tmp_path, scenario)
