"""Field ownership: sets of fields, values by their schema, managedFields after each kind of write."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.managed.fieldsets import discard, from_members, has, insert, members, text, valid
from controller.api.managed.managers import APPLY, UPDATE, Manager, apply, record
from controller.api.managed.typed import compare, fields, merge, type_of
from controller.api.status import StatusError

POD = type_of("io.k8s.api.core.v1.Pod")
MAP = type_of("io.k8s.api.core.v1.ConfigMap")
FREE = type_of("")
ELEMENTS = st.sampled_from(["f:a", "f:b", "f:c", 'k:{"name":"x"}', 'v:"y"'])
PATHS = st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple)
KUBECTL = Manager("kubectl", APPLY, "v1")
OTHER = Manager("other", APPLY, "v1")
EDITOR = Manager("editor", UPDATE, "v1")


@given(st.lists(PATHS, max_size=12), st.lists(PATHS, max_size=12))
def test_trees_are_sets(added: list[tuple[str, ...]], removed: list[tuple[str, ...]]) -> None:
    """Inserting and discarding paths does to a tree what it does to a set, and JSON keeps it."""
    tree: dict[str, Any] = {}
    wanted = set()
    for path in added:
        insert(tree, path)
        wanted.add(path)
    for path in removed:
        discard(tree, path)
        wanted.discard(path)
    assert set(members(tree)) == wanted
    assert all(has(tree, path) for path in wanted)
    assert not any(has(tree, path) for path in removed if path not in wanted)
    assert set(members(json.loads(json.dumps(tree)))) == wanted
    assert from_members(wanted) == tree
    assert valid(tree)


def test_paths_read_as_upstream_writes_them() -> None:
    """Fields with dots, keys and values in brackets."""
    ports = 'k:{"containerPort":80,"protocol":"TCP"}'
    path = ("f:spec", "f:containers", 'k:{"name":"web"}', "f:ports", ports, "f:hostPort")
    assert text(path) == '.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"].hostPort'
    assert text(("f:metadata", "f:finalizers", 'v:"a/b"')) == '.metadata.finalizers[="a/b"]'


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    metadata = {"name": "a", "labels": {"app": "x"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": list(containers), **spec}}


def test_what_an_applier_owns() -> None:
    """Leaves, map keys and list items with their fields; atomic lists and maps as a whole, as upstream's fieldsV1."""
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 80}], "args": ["x"], "resources": {}}
    given = pod(container, nodeSelector={"disk": "ssd"}, tolerations=[{"key": "k"}])
    ports = {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}
    item = {".": {}, "f:name": {}, "f:image": {}, "f:ports": ports, "f:args": {}, "f:resources": {}}
    assert from_members(fields(given, POD)) == {
        "f:apiVersion": {},
        "f:kind": {},
        "f:metadata": {"f:name": {}, "f:labels": {"f:app": {}}},
        "f:spec": {
            "f:containers": {'k:{"name":"c"}': item},
            "f:nodeSelector": {},
            "f:tolerations": {},
        },
    }


def test_what_changed() -> None:
    """Only differing leaves; a new or lost map, list or item counts by itself too; order of items does not."""
    old = pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"})
    new = pod({"name": "b", "image": "1"}, {"name": "a", "image": "2"})
    new["metadata"] = {"name": "a", "annotations": {"n": "1"}}
    found = compare(old, new, POD)
    assert set(map(text, found.changed)) == {
        '.spec.containers[name="a"].image',
        ".metadata.annotations",
        ".metadata.annotations.n",
    }
    assert set(map(text, found.removed)) == {".metadata.labels", ".metadata.labels.app"}


def test_merging_keeps_others_items_and_takes_the_appliers_order() -> None:
    """Items by key are merged, sets are joined, atomic lists replaced; nothing given is changed."""
    live = pod({"name": "b", "image": "1", "tty": True}, {"name": "side", "image": "s"}, {"name": "a", "image": "1"})
    live["metadata"]["finalizers"] = ["x/1"]
    wanted = pod({"name": "a", "image": "2"}, {"name": "b", "image": "2"}, tolerations=[{"key": "k"}])
    wanted["metadata"]["finalizers"] = ["x/2", "x/1"]
    before = json.dumps([live, wanted])
    merged = merge(live, wanted, POD)
    assert merged["spec"]["containers"] == [
        {"name": "a", "image": "2"},
        {"name": "b", "image": "2", "tty": True},
        {"name": "side", "image": "s"},
    ]
    assert merged["metadata"]["finalizers"] == ["x/2", "x/1"]
    assert merged["spec"]["tolerations"] == [{"key": "k"}]
    assert json.dumps([live, wanted]) == before


def config_map(**data: str) -> dict[str, Any]:
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}
    return made | ({"data": data} if data else {})


def do_apply(live: Any, manager: Manager, *, force: bool = False, **data: str) -> dict[str, Any]:
    return apply(live, config_map(**data), MAP, manager, force=force, has_status=False)


def owners(obj: dict[str, Any]) -> dict[str, list[str]]:
    """Manager -> the data keys that it owns."""
    return {
        entry["manager"]: sorted(key for key in entry["fieldsV1"].get("f:data", {}) if key != ".")
        for entry in obj["metadata"].get("managedFields", [])
    }


def test_managers_share_and_give_up_fields() -> None:
    """Equal values are shared; a field goes when its last owner drops it; what nobody owns stays."""
    first = do_apply(None, KUBECTL, a="1", b="1")
    both = do_apply(first, OTHER, b="1", c="1")
    assert owners(both) == {"kubectl": ["f:a", "f:b"], "other": ["f:b", "f:c"]}
    less = do_apply(both, KUBECTL)
    assert less["data"] == {"b": "1", "c": "1"}
    assert owners(less) == {"other": ["f:b", "f:c"]}
    none = do_apply(less, OTHER)
    assert "data" not in none
    assert "managedFields" not in none["metadata"]


def test_conflicts_are_all_named_and_force_takes_the_fields() -> None:
    """409 with a cause for each field in upstream's words; with force the fields change their owner."""
    live = do_apply(None, OTHER, a="1", b="1", c="1")
    with pytest.raises(StatusError) as refused:
        do_apply(live, KUBECTL, a="2", b="2", c="1")
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert refused.value.message == 'Apply failed with 2 conflicts: conflicts with "other":\n- .data.a\n- .data.b'
    assert refused.value.details["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "other"', "field": ".data.a"},
        {"reason": "FieldManagerConflict", "message": 'conflict with "other"', "field": ".data.b"},
    ]
    forced = do_apply(live, KUBECTL, force=True, a="2", b="2", c="1")
    assert owners(forced) == {"kubectl": ["f:a", "f:b", "f:c"], "other": ["f:c"]}
    assert forced["data"] == {"a": "2", "b": "2", "c": "1"}


def test_applying_the_same_again_is_no_change() -> None:
    """Not even the time of the entry."""
    live = do_apply(None, KUBECTL, a="1")
    live["metadata"]["managedFields"][0]["time"] = "2020-01-01T00:00:00Z"
    assert do_apply(live, KUBECTL, a="1") == live


def test_an_object_without_managed_fields_belongs_to_before_first_apply() -> None:
    """Its values are defended like anybody's."""
    with pytest.raises(StatusError, match=r'conflict with "before-first-apply" using v1: \.data\.a'):
        do_apply(config_map(a="1"), KUBECTL, a="2")
    assert owners(do_apply(config_map(a="1", b="1"), KUBECTL, a="1")) == {
        "kubectl": ["f:a"],
        "before-first-apply": ["f:a", "f:b"],
    }


def test_updates_take_what_they_change() -> None:
    """An updating manager owns what it changed; what it removes is nobody's; a status write owns status only."""
    live = do_apply(None, KUBECTL, a="1", b="1", c="1")
    new = config_map(a="2", b="1", d="1")
    record(live, new, MAP, EDITOR, has_status=False)
    assert owners(new) == {"kubectl": ["f:b"], "editor": ["f:a", "f:d"]}
    made = pod({"name": "c", "image": "i"}) | {"status": {"phase": "Pending"}}
    record(None, made, POD, EDITOR, has_status=True)
    (entry,) = made["metadata"]["managedFields"]
    assert set(entry["fieldsV1"]) == {"f:metadata", "f:spec"}
    after = json.loads(json.dumps(made)) | {"status": {"phase": "Running"}}
    record(made, after, POD, Manager("agent", UPDATE, "v1", "status"), has_status=True)
    listed = {entry["manager"]: entry for entry in after["metadata"]["managedFields"]}
    assert listed.keys() == {"agent", "editor"}
    assert listed["agent"]["subresource"] == "status"
    assert listed["agent"]["fieldsV1"] == {"f:status": {"f:phase": {}}}


def test_clients_may_edit_managed_fields() -> None:
    """A well-formed list is taken, nonsense is not, and a list with one empty entry empties it."""
    live = do_apply(None, KUBECTL, a="1")
    entry = {"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:a": {}}}}
    for edited, expected in (
        ([entry], {"x": ["f:a"]}),
        ([{"manager": "x", "operation": "nonsense"}], {"kubectl": ["f:a"]}),
        ([{}], {}),
        (None, {"kubectl": ["f:a"]}),
    ):
        new = config_map(a="1")
        if edited is not None:
            new["metadata"]["managedFields"] = edited
        record(live, new, MAP, EDITOR, has_status=False)
        assert owners(new) == expected


def test_the_oldest_updaters_become_one() -> None:
    """Ten entries of updating managers at most; the fields of the others stay owned."""
    live: dict[str, Any] | None = None
    data: dict[str, str] = {}
    for number in range(14):
        data[f"k{number:02}"] = "1"
        new = config_map(**data)
        if live is not None:
            new["metadata"]["managedFields"] = live["metadata"]["managedFields"]
        record(live, new, MAP, Manager(f"m{number:02}", UPDATE, "v1"), has_status=False)
        live = new
    assert live is not None
    found = owners(live)
    assert len(found) == 10
    assert sorted(key for keys in found.values() for key in keys) == [f"f:k{number:02}" for number in range(14)]


def test_free_form_objects_are_maps_of_leaves() -> None:
    """Kinds without a schema: every key by itself, lists as a whole."""
    value = {"spec": {"a": [1], "b": {"c": 1}, "e": {}}}
    assert set(map(text, fields(value, FREE))) == {".spec", ".spec.a", ".spec.b", ".spec.b.c", ".spec.e"}


def test_lists_that_cannot_be_merged_are_refused() -> None:
    """An item twice, or without its key, is a 400 that says where."""
    twice, unnamed = [{"name": "a"}, {"name": "a"}], [{"image": "x"}]
    for containers, why in ((twice, "duplicate entries"), (unnamed, "lacks its key 'name'")):
        with pytest.raises(StatusError, match=why):
            apply(None, pod(*containers), POD, KUBECTL, force=False, has_status=True)
