"""Revisions of a Deployment: the template's hash, which ReplicaSet has it, and the annotations that number them."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from controller.api.status import Object

HASH_LABEL: Final = "pod-template-hash"
REVISION: Final = "deployment.kubernetes.io/revision"
HISTORY: Final = "deployment.kubernetes.io/revision-history"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
LIMIT: Final = "deployment.kubernetes.io/max-replicas"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_OWN: Final = frozenset((REVISION, HISTORY, DESIRED, LIMIT, "deprecated.deployment.rollback.to", LAST_APPLIED))
"""Annotations of a Deployment that its sets do not take over."""

# What Go clients leave out when they send an object back: it must not make another template.
_ZERO_IS_ABSENT: Final = frozenset(("hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly"))
_ZERO_IS_ABSENT_NUMBERS: Final = frozenset(("initialDelaySeconds", "hostPort"))
_MAPS: Final = frozenset(("labels", "annotations", "nodeSelector", "limits", "requests", "matchLabels"))
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


def _absent(key: str, value: Any) -> bool:
    if value is None or value in ("", []):
        return True
    if value is False:
        return key in _ZERO_IS_ABSENT
    if value == 0:
        return key in _ZERO_IS_ABSENT_NUMBERS
    return value == {} and key in _MAPS


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if not _absent(key, inner)}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def canonical(template: Object) -> bytes:
    """What of a pod template counts, as bytes: equal for templates that make the same pods."""
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    plain = _plain({**template, "metadata": {**metadata, "labels": labels}})
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def template_hash(template: bytes, collisions: int = 0) -> str:
    """The `pod-template-hash` of a canonical template; other after each collision of names."""
    suffix = str(collisions).encode() if collisions else b""
    number = int.from_bytes(hashlib.sha256(template + suffix).digest()[:6], "big")
    text = ""
    for _ in range(10):
        number, index = divmod(number, len(_LETTERS))
        text += _LETTERS[index]
    return text


def revision_of(obj: Object) -> int:
    """An object's revision; 0 where it has none."""
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def find_new(template: bytes, sets: Iterable[Object]) -> Object | None:
    """The oldest set with this canonical template."""
    by_age = sorted(sets, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))
    return next((one for one in by_age if canonical(one["spec"]["template"]) == template), None)


def next_revision(old: Iterable[Object]) -> int:
    """The new set's revision: one more than the old sets have."""
    return max((revision_of(one) for one in old), default=0) + 1


def set_annotations(present: Mapping[str, str], deployment: Object, revision: int) -> dict[str, str]:
    """The new set's annotations: the Deployment's, and the revision; a revision that it had before is remembered."""
    result = dict(present)
    for key, value in (deployment["metadata"].get("annotations") or {}).items():
        if key not in _OWN:
            result[key] = value
    before = result.get(REVISION, "")
    if not before.isdigit() or int(before) < revision:
        result[REVISION] = str(revision)
        if before:
            history = [entry for entry in result.get(HISTORY, "").split(",") if entry]
            result[HISTORY] = ",".join([*history, before])
    return result


def size_annotations(replicas: int, limit: int) -> dict[str, str]:
    """What a set's size was worked out from."""
    return {DESIRED: str(replicas), LIMIT: str(limit)}
