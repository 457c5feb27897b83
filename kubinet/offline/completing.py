"""Objects from manifests as the API would store them: fields checked, defaults filled in, without a server."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import NAMESPACE_OID, uuid5

from controller.api import validation
from controller.api.codec import check
from controller.api.registry import KINDS, Kind, by_api_version
from controller.api.status import Object, StatusError, invalid
from kubinet.errors import InvalidInputError
from kubinet.manifests import Manifest

Key: TypeAlias = tuple[str, str, str]
"""Kind, namespace (empty for cluster-wide kinds) and name."""

_ENDED: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Collected:
    """What manifests say together; the last one of a name counts."""

    objects: Mapping[Key, Object]
    left_out: tuple[str, ...]
    """`Kind/name` of what has no meaning here."""

    def of(self, *kinds: str) -> list[Object]:
        """The objects of these kinds, by name."""
        return [obj for key, obj in sorted(self.objects.items()) if key[0] in kinds]


def collect(manifests: Iterable[Manifest], namespace: str = "default") -> Collected:
    """Complete all of them; InvalidInputError names file, line and field of the first that the API would refuse.

    `namespace`: of objects that name none.
    """
    objects: dict[Key, Object] = {}
    left_out: list[str] = []
    for manifest in manifests:
        kind = by_api_version(manifest.object["apiVersion"], manifest.object["kind"])
        if kind is None:
            _refuse_other_version(manifest)
            left_out.append(f"{manifest.object['kind']}/{manifest.object['metadata'].get('name', '')}")
            continue
        obj = completed(manifest, kind, namespace)
        metadata = obj["metadata"]
        objects[kind.kind, metadata.get("namespace", ""), metadata["name"]] = obj
    return Collected(objects, tuple(left_out))


def completed(manifest: Manifest, kind: Kind, namespace: str) -> Object:
    """One object, checked as the API checks it."""
    obj: dict[str, Any] = copy.deepcopy(manifest.object)
    metadata = obj["metadata"]
    if kind.namespaced:
        metadata["namespace"] = metadata.get("namespace") or namespace
    else:
        metadata.pop("namespace", None)
    if not metadata.get("name"):
        metadata["name"] = f"{metadata['generateName']}{manifest.line}"
    try:
        # What a server adds (status, managedFields of later versions) may be unknown to this one.
        exported = "uid" in metadata
        check(obj, kind.schema, "Warn" if exported else "Strict")
    except StatusError as error:
        raise InvalidInputError(f"{manifest.where}: {error.message}") from error
    metadata.setdefault("uid", uid(kind.kind, metadata.get("namespace", ""), metadata["name"]))
    causes = validation.metadata(obj, kind.name_rule)
    if not causes and kind.default is not None:
        kind.default(obj)
    if not causes and kind.validate is not None:
        causes = kind.validate(obj, None)
    if causes:
        raise InvalidInputError(f"{manifest.where}: {invalid(kind.group, kind.kind, metadata['name'], causes).message}")
    return obj


def uid(kind: str, namespace: str, name: str) -> str:
    """A uid for an object that no server has given one: the same every time."""
    return str(uuid5(NAMESPACE_OID, f"{kind}/{namespace}/{name}"))


def _refuse_other_version(manifest: Manifest) -> None:
    """A policy of a version that is not read would be a policy that is silently not there."""
    version, kind = manifest.object["apiVersion"], manifest.object["kind"]
    known = [one.group_version for one in KINDS if one.kind == kind]
    if known:
        raise InvalidInputError(f"{manifest.where}: {kind} of {version} is not known; write {' or '.join(known)}")


def ended(pod: Object) -> bool:
    """Whether the pod runs no more, as its status says."""
    return (pod.get("status") or {}).get("phase") in _ENDED
