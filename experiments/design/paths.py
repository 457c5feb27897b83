"""Paths that levels set: `topology.network.overlay`, `manifests.Service/web.metadata.annotations["kubinet.dev/x"]`, …

A part in brackets is a list's index or a quoted text, for keys that hold dots.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from experiments.records import Value
from kubinet.errors import InvalidInputError

ROOTS: Final = ("topology", "manifests", "workload", "measurement", "warmup")
MAX_PARTS: Final = 50
Parts = tuple[str | int, ...]
_PART: Final = re.compile(r'\.([^.\["\]]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]')


def parse_path(path: str) -> Parts:
    """The parts of a path, of which the first is one of `ROOTS`; InvalidInputError."""
    parts: list[str | int] = []
    text, position = f".{path}", 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise InvalidInputError(
                f"path {path!r} cannot be read at {text[position:][:20]!r}; write names with dots between, "
                'list items as [0], and keys that hold dots as ["kubinet.dev/x"]'
            )
        name, index, quoted = match.groups()
        parts.append(name if name is not None else int(index) if index is not None else _unquoted(path, quoted))
        position = match.end()
    if len(parts) > MAX_PARTS:
        raise InvalidInputError(f"path {path[:40]!r}… has {len(parts)} parts, more than {MAX_PARTS}; shorten it")
    if not parts or parts[0] not in ROOTS:
        raise InvalidInputError(f"path {path!r} begins with none of {', '.join(ROOTS)}")
    if (len(parts) == 1) != (parts[0] == "warmup"):
        raise InvalidInputError(f"path {path!r}: {_FORMS[str(parts[0])]}")
    if parts[0] in ("workload", "measurement") and len(parts) != 3:
        raise InvalidInputError(f"path {path!r}: {_FORMS[str(parts[0])]}")
    return tuple(parts)


_FORMS: Final = {
    "topology": "write topology.nodes, topology.preset, topology.datapath or topology.<what `kubinet up --set` takes>",
    "manifests": "write manifests.<name>.repeat or manifests.<Kind>/<object>.<field>",
    "workload": "write workload.<name>.<field>",
    "measurement": "write measurement.<name>.<field>",
    "warmup": "the warm-up is a time and has no fields",
}


def topology_setting(path: str) -> str:
    """What follows `topology.`: a setting's name, in which brackets mean nothing."""
    return path.partition(".")[2]


def set_field(document: dict[str, Any], parts: Sequence[str | int], value: Value, path: str) -> None:
    """Set a field of an object; mappings on the way are made, lists must reach so far."""
    target: Any = document
    for position, part in enumerate(parts[:-1]):
        following = parts[position + 1]
        if isinstance(target, dict) and isinstance(part, str) and isinstance(following, str):
            if target.get(part) is None:
                target[part] = {}
            target = target[part]
        else:
            target = _item(target, part, path)
    last = parts[-1]
    if isinstance(target, dict) and isinstance(last, str):
        target[last] = value
        return
    _item(target, last, path)
    target[last] = value


def _item(target: Any, part: str | int, path: str) -> Any:
    if isinstance(target, list) and isinstance(part, int):
        if part < len(target):
            return target[part]
        raise InvalidInputError(f"path {path!r}: the list has {len(target)} items, there is no [{part}]")
    if isinstance(target, dict) and part in target:
        return target[part]
    shown = f"[{part}]" if isinstance(part, int) else f"'{part}'"
    raise InvalidInputError(f"path {path!r}: there is no {shown} in the object")


def _unquoted(path: str, quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError as error:
        raise InvalidInputError(f"path {path!r}: {quoted} cannot be read; escape quotes as in JSON") from error
