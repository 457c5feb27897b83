"""What `Client.apply` sends: the three-way merge that kubectl's apply is defined by."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubinet.client import three_way_merge

_SCALARS = st.one_of(st.integers(-3, 3), st.booleans(), st.sampled_from(["a", "b", ""]))
_OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), _SCALARS, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), st.one_of(_SCALARS, inner), max_size=3),
    max_leaves=8,
)


def _merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, written down once more as the reference."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_patch(result.get(key, {}), value)
    return result


def _says(present: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(k in present and _says(present[k], v) for k, v in wanted.items())
    return bool(present == wanted)


def test_a_field_that_the_user_dropped_is_deleted_and_one_that_the_server_added_stays() -> None:
    """Apply deletes what the last applied manifest had and the new one lacks; other fields belong to others."""
    before = {"spec": {"a": 1, "b": 2}}
    wanted = {"spec": {"a": 1}}
    current = {"spec": {"a": 1, "b": 2, "defaulted": True}}
    assert three_way_merge(before, wanted, current) == {"spec": {"b": None}}


def test_lists_that_only_gained_defaults_are_left_alone() -> None:
    """A server's defaults inside list items do not make an unchanged manifest look changed."""
    wanted = {"containers": [{"name": "c", "image": "i"}]}
    current = {"containers": [{"name": "c", "image": "i", "imagePullPolicy": "Always"}]}
    assert three_way_merge(wanted, wanted, current) == {}


def test_a_changed_list_is_sent_whole() -> None:
    """A merge patch replaces lists, so all items that the user wrote are in it."""
    current = {"containers": [{"name": "c", "image": "old"}]}
    wanted = {"containers": [{"name": "c", "image": "new"}]}
    assert three_way_merge(current, wanted, current) == wanted


@given(before=_OBJECTS, wanted=_OBJECTS, current=_OBJECTS)
def test_after_the_patch_the_object_says_all_that_the_user_wants(before: Any, wanted: Any, current: Any) -> None:
    """Whatever was there, the patched object holds every field of the manifest."""
    patched = _merge_patch(current, three_way_merge(before, wanted, current))
    assert _says(patched, wanted), json.dumps([before, wanted, current, patched])


@given(wanted=_OBJECTS, current=_OBJECTS)
def test_applying_twice_changes_nothing_the_second_time(wanted: Any, current: Any) -> None:
    """Apply is idempotent."""
    patched = _merge_patch(current, three_way_merge({}, wanted, current))
    assert three_way_merge(wanted, wanted, patched) == {}
