"""A run's manifests: copies, `$(name)`, and fields of objects that levels set. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence

from experiments.design.model import ManifestChoice
from experiments.design.paths import set_field
from experiments.design.reading import COPY
from experiments.design.settings import Setting, at
from experiments.design.substitution import substitute_manifest
from experiments.design.yamltext import to_yaml
from experiments.records import Value
from kubinet.errors import InvalidInputError
from kubinet.manifests import MAX_BYTES, Object, parse_manifests

_SHOWN = 10


def manifests_of(
    choices: Sequence[ManifestChoice], settings: Sequence[Setting], known: Mapping[str, Value]
) -> Mapping[str, str]:
    """File name to YAML; a manifest without copies is left out. DesignError for a path that leads nowhere."""
    changes = [one for one in settings if "/" in str(one.parts[1])]
    repeats = {choice.name: choice.repeat for choice in choices}
    for one in settings:
        if one not in changes:
            name = _repeated(one, repeats)
            repeats[name] = _count(one)
    texts = {}
    for choice in choices:
        with at("spec", "manifests", choice.name):
            _check_size(choice, repeats[choice.name])
        texts[choice.name] = "---\n".join(_copies(choice.text, repeats[choice.name], known))
    return {f"{name}.yaml": text for name, text in _changed(texts, changes).items() if text}


def _repeated(one: Setting, repeats: Mapping[str, int]) -> str:
    name = str(one.parts[1])
    if name not in repeats or one.parts[2:] != ("repeat",):
        names = ", ".join(repeats) or "none"
        raise one.error(
            "write manifests.<name>.repeat or manifests.<Kind>/<object>.<field>; "
            f"the names of the experiment's manifests: {names}"
        )
    return name


def _count(one: Setting) -> int:
    count = one.checked(int)
    if count < 0:
        raise one.error(f"{count} copies cannot be made; it must be at least 0")
    return count


def _check_size(choice: ManifestChoice, copies: int) -> None:
    if copies * len(choice.text) > MAX_BYTES:
        raise InvalidInputError(
            f"{copies:,} copies of manifest '{choice.name}' are more than {MAX_BYTES >> 20} MiB; make fewer"
        )


def _copies(text: str, count: int, known: Mapping[str, Value]) -> Iterator[str]:
    for number in range(count):
        copy = substitute_manifest(text, {**known, COPY: number})
        yield copy if copy.endswith("\n") else f"{copy}\n"


def _changed(texts: Mapping[str, str], changes: Sequence[Setting]) -> Mapping[str, str]:
    """The manifests with fields of objects set; a text without such an object stays as it was written."""
    if not changes:
        return texts
    objects = {}
    for name, text in texts.items():
        with at("spec", "manifests", name):
            objects[name] = [_own(one.object) for one in parse_manifests(text, name)]
    touched: set[str] = set()
    for one in changes:
        if len(one.parts) < 3:
            raise one.error("name a field, such as manifests.Deployment/web.spec.replicas")
        chosen = [(name, found) for name, several in objects.items() for found in several if _is(found, one.parts[1])]
        if not chosen:
            there = sorted({_reference(found) for several in objects.values() for found in several})
            raise one.error(f"no manifest has {one.parts[1]}; there are: {', '.join(there[:_SHOWN]) or 'none'}")
        for name, found in chosen:
            with at(*one.place):
                set_field(found, one.parts[2:], one.value, one.path)
            touched.add(name)
    return {
        name: "---\n".join(to_yaml(found) for found in objects[name]) if name in touched else text
        for name, text in texts.items()
    }


def _own(found: Object) -> Object:
    """A copy in which nothing is shared, as YAML's aliases do it."""
    copy: Object = json.loads(json.dumps(found))
    return copy


def _reference(found: Object) -> str:
    return f"{found['kind']}/{found['metadata'].get('name', '')}"


def _is(found: Object, reference: str | int) -> bool:
    """Whether the object is `Kind/name`, `namespace:Kind/name` or, with `*` as the name, any of the kind."""
    namespace, colon, rest = str(reference).rpartition(":")
    kind, _, name = rest.partition("/")
    metadata = found["metadata"]
    return (
        found["kind"] == kind
        and name in ("*", metadata.get("name"))
        and (not colon or metadata.get("namespace", "default") == namespace)
    )
