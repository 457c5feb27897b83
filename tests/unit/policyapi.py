"""What tests of policies in the API share: creating one as a client does, and objects with one part changed."""

import json
from collections.abc import Iterator
from typing import Any

from controller.api import codec
from controller.api.objects import Objects
from controller.api.registry import Kind, by_path
from controller.api.status import StatusError
from controller.api.store import Store
from controller.workloads.namespaces import ensure_defaults

Object = dict[str, Any]
Step = str | int


def kind(name: str) -> Kind:
    if name == "NetworkPolicy":
        found = by_path("networking.k8s.io", "v1", "networkpolicies")
    else:
        plural = name.lower().removesuffix("y") + "ies"
        found = by_path("policy.networking.k8s.io", "v1alpha2" if name.startswith("Cluster") else "v1alpha1", plural)
    assert found is not None
    return found


def create(name: str, obj: Object, validation: codec.FieldValidation = "Strict") -> Object:
    """The object as it was stored; StatusError when it was refused."""
    served = kind(name)
    objects = Objects(Store())
    ensure_defaults(objects)
    body = json.dumps({"apiVersion": served.group_version, "kind": name, **obj}).encode()
    decoded = codec.decode(body, "application/json", served.schema, validation)
    return objects.create(served, "default" if served.namespaced else "", decoded.object).object


def refusal(name: str, obj: Object) -> tuple[int, str | dict[str, str]]:
    """(400, message) or (422, field -> message) of an object that is refused; (201, "") of one that is not."""
    try:
        create(name, obj)
    except StatusError as error:
        if error.code == 422:
            return 422, {cause["field"]: cause["message"] for cause in error.details["causes"]}
        return error.code, error.message
    return 201, ""


def warnings(name: str, obj: Object) -> list[str]:
    warn = kind(name).warn
    assert warn is not None
    return warn(create(name, obj))


def steps(value: Any, above: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """The way to every part of a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in inner:
        yield (*above, step)
        yield from steps(part, (*above, step))


def changed(obj: Object, way: tuple[Step, ...], value: Any) -> Object:
    """A copy with another value at this place; without the place for Ellipsis."""
    result: Object = json.loads(json.dumps(obj))  # no deep copy: parts that are one object become two
    target: Any = result
    for step in way[:-1]:
        target = target[step]
    if value is ...:
        del target[way[-1]]
    else:
        target[way[-1]] = value
    return result


def path(way: tuple[Step, ...]) -> str:
    """`spec.ingress[0].from` as messages name a place."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way).removeprefix(".")
