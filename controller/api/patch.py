"""JSON merge patch (RFC 7386), JSON patch (RFC 6902) and Kubernetes' strategic merge patch."""

from typing import Any

import jsonpatch

from controller.api.schema import definitions, resolve
from controller.api.status import Object, StatusError, bad_request

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_MAX_OPERATIONS = 10_000


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386; `target` is not changed, untouched parts are shared with the result."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def json_patch(target: Object, operations: Any) -> Object:
    """RFC 6902; `target` may be changed."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is an array of operations")
    if len(operations) > _MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {_MAX_OPERATIONS}, got {len(operations)}"
        raise StatusError(413, "RequestEntityTooLarge", message)
    try:
        result: Object = jsonpatch.apply_patch(target, operations, in_place=True)
    except jsonpatch.JsonPatchException as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise StatusError(422, "Invalid", message) from error
    except (jsonpatch.JsonPointerException, KeyError, TypeError, ValueError, AttributeError) as error:
        raise bad_request(f"error in JSON patch: {error}") from error
    if not isinstance(result, dict):
        raise bad_request("the JSON patch leaves no object")
    return result


_ORDER = "$setElementOrder/"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_RETAIN = "$retainKeys"
_DIRECTIVE = "$patch"


def strategic(target: Object, patch: Any, definition: str) -> Object:
    """Kubernetes' strategic merge by the merge keys of a definition. `target` may be changed."""
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch is an object")
    return _merge_map(target, patch, definitions()[definition])


def _field(schema: Object, name: str) -> Object:
    properties = schema.get("properties")
    found = schema.get("additionalProperties") if properties is None else properties.get(name)
    return found if isinstance(found, dict) else {}


def _strategy(field: Object) -> tuple[str, ...]:
    return tuple(field.get("x-kubernetes-patch-strategy", "").split(","))


def _merge_map(original: Object, patch: Object, schema: Object) -> Object:
    directive = patch.get(_DIRECTIVE)
    if directive is not None:
        if directive == "replace":
            return {key: value for key, value in patch.items() if key != _DIRECTIVE}
        if directive == "delete":
            return {}
        if directive != "merge":
            raise bad_request(f"unknown $patch directive {directive!r} in a map")
    patch = {key: value for key, value in patch.items() if key != _DIRECTIVE}
    _retain_keys(original, patch)
    _ordered_lists(original, patch, schema)
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            name = key.removeprefix(_DELETE_FROM)
            if name in original:
                original[name] = [item for item in original[name] if item not in value]
        elif value is None:
            original.pop(key, None)
        elif key not in original or type(original[key]) is not type(value):
            original[key] = _plain(value)
        elif isinstance(value, dict):
            field = _field(schema, key)
            replaced = "replace" in _strategy(field)
            original[key] = _plain(value) if replaced else _merge_map(original[key], value, resolve(field))
        elif isinstance(value, list):
            original[key] = _merge_list(original[key], value, _field(schema, key))
        else:
            original[key] = value
    return original


def _retain_keys(original: Object, patch: Object) -> None:
    kept = patch.pop(_RETAIN, None)
    if kept is None:
        return
    if not isinstance(kept, list) or any(key not in kept for key in patch if not key.startswith("$")):
        raise bad_request("$retainKeys must be a list that has every key of its patch")
    for key in [key for key in original if key not in kept]:
        del original[key]


def _ordered_lists(original: Object, patch: Object, schema: Object) -> None:
    for directive in [key for key in patch if key.startswith(_ORDER)]:
        name = directive.removeprefix(_ORDER)
        order = patch.pop(directive)
        field = _field(schema, name)
        key = field.get("x-kubernetes-patch-merge-key", "")
        before, change = original.get(name), patch.get(name)
        if not isinstance(order, list):
            raise bad_request(f"{directive} must be a list")
        if isinstance(before, list) and isinstance(change, list):
            merged = _merge_list(before, change, field)
        elif isinstance(before, list) and name not in patch:
            merged = before
        elif isinstance(change, list):
            merged = _plain(change)
        else:
            continue
        patch.pop(name, None)
        original[name] = _in_order(merged, order, before or [], key)


def _identity(item: Any, key: str) -> Any:
    return item.get(key) if key and isinstance(item, dict) else item


def _in_order(merged: list[Any], wanted: list[Any], server: list[Any], key: str) -> list[Any]:
    """Patched items in the patch's order; the server's own items keep their places relative to them."""
    wanted_ids = [_identity(item, key) for item in wanted]
    server_ids = [_identity(item, key) for item in server]

    def position(item: Any, ids: list[Any]) -> int:
        identity = _identity(item, key)
        return ids.index(identity) if identity in ids else -1

    patched = sorted((i for i in merged if position(i, wanted_ids) >= 0), key=lambda i: position(i, wanted_ids))
    own = [item for item in merged if position(item, wanted_ids) < 0]
    own.sort(key=lambda item: position(item, server_ids))
    result: list[Any] = []
    while own and patched:
        left, right = position(own[0], server_ids), position(patched[0], server_ids)
        result.append(own.pop(0) if 0 <= left < right else patched.pop(0))
    return result + own + patched


def _merge_list(original: list[Any], patch: list[Any], field: Object) -> list[Any]:
    if "merge" not in _strategy(field):
        return [_plain(item) for item in patch]
    if not any(isinstance(item, dict) for item in [*original, *patch]):
        merged = original + [item for item in patch if item not in original]
        return _in_order(merged, patch, original, "")
    key = field.get("x-kubernetes-patch-merge-key", "")
    items = resolve(field.get("items", {}))
    if any(not isinstance(item, dict) for item in [*original, *patch]):
        raise bad_request("strategic merge patch: a list of objects holds something else")
    ordinary = [item for item in patch if _DIRECTIVE not in item or item[_DIRECTIVE] == "merge"]
    directives = [item for item in patch if item.get(_DIRECTIVE, "merge") != "merge"]
    if any(item[_DIRECTIVE] == "replace" for item in directives):
        return [_plain(item) for item in ordinary]
    for item in directives:
        if item[_DIRECTIVE] != "delete" or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        original = [entry for entry in original if entry.get(key) != item[key]]
    merged = list(original)
    for item in ordinary:
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        place = next((i for i, entry in enumerate(merged) if entry.get(key) == item[key]), None)
        if place is None:
            merged.append(_plain(item))
        else:
            merged[place] = _merge_map(merged[place], item, items)
    return _in_order(merged, ordinary, original, key)


def _plain(value: Any) -> Any:
    """A new part of the object from a patch: directives and nulls are not stored."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None and not _special(key)}
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, dict) and item.get(_DIRECTIVE) == "delete")]
    return value


def _special(key: str) -> bool:
    return key in (_DIRECTIVE, _RETAIN) or key.startswith((_ORDER, _DELETE_FROM))
