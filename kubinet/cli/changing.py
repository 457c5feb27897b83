"""`kubinet label`, `annotate` and `patch`: small changes of objects, in kubectl's words."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from kubinet.cli.printers import name_of
from kubinet.cli.selection import Scope, Target, select
from kubinet.errors import KubinetError, UsageError
from kubinet.yamldata import parse_documents

if TYPE_CHECKING:
    from kubinet.client import Client

Kind = Literal["labels", "annotations"]
_DONE: Final[Mapping[Kind, str]] = {"labels": "labeled", "annotations": "annotated"}
PATCHES: Final[tuple[Literal["strategic", "merge", "json"], ...]] = ("strategic", "merge", "json")


@dataclass(frozen=True, slots=True)
class Pairs:
    """What becomes of labels or annotations."""

    kind: Kind
    set: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    @classmethod
    def of(cls, kind: Kind, words: Sequence[str]) -> "tuple[list[str], Pairs]":
        """The words that name objects, and the changes after them: `KEY=VALUE`, and `KEY-` to remove."""
        first = next((n for n, word in enumerate(words) if "=" in word or word.endswith("-")), len(words))
        given = dict(word.partition("=")[::2] for word in words[first:] if "=" in word)
        removed = tuple(word[:-1] for word in words[first:] if "=" not in word and word.endswith("-"))
        wrong = [word for word in words[first:] if "=" not in word and not word.endswith("-")]
        if wrong:
            raise UsageError(f"{wrong[0]!r} is no change; write KEY=VALUE, or KEY- to remove it, after the objects")
        if not given and not removed:
            raise UsageError("say what to change: KEY=VALUE, or KEY- to remove it")
        if both := given.keys() & set(removed):
            raise UsageError(f"{min(both)!r} is both set and removed")
        return list(words[:first]), cls(kind, given, removed)


@dataclass(frozen=True, slots=True)
class Which:
    """Objects by name, all of a kind, or those that a selector chooses."""

    scope: Scope
    selector: str | None = None
    every: bool = False


def targets(client: "Client", words: Sequence[str], which: Which) -> Iterator[Target]:
    """The objects; UsageError where neither names nor a selector nor `--all` says which."""
    for one in select(client, words):
        if one.names:
            if which.selector or which.every:
                raise UsageError("names go neither with -l nor with --all")
            yield from (Target(one.resource, which.scope.of(one.resource), name) for name in one.names)
            continue
        if not which.selector and not which.every:
            raise UsageError(f"say which {one.resource.plural}: names, -l SELECTOR or --all")
        listing = client.list(one.resource.plural, which.scope.of(one.resource), label_selector=which.selector)
        for obj in listing["items"]:
            metadata = obj["metadata"]
            yield Target(one.resource, metadata.get("namespace"), metadata["name"])


def change_pairs(client: "Client", target: Target, pairs: Pairs, *, overwrite: bool) -> str:
    """Set and remove labels or annotations of one object; returns what kubectl says."""
    present = client.get(target.resource.plural, target.name, target.namespace)["metadata"].get(pairs.kind) or {}
    if not overwrite:
        for key, value in pairs.set.items():
            if key in present and present[key] != value:
                raise KubinetError(f"'{key}' already has a value ({present[key]}), and --overwrite is false")
    new = {key: value for key, value in pairs.set.items() if present.get(key) != value}
    gone = {key: None for key in pairs.removed if key in present}
    said = f"{name_of(target.resource, target.name)} "
    if not new and not gone:
        return f"{said}not {_DONE[pairs.kind]}"
    client.patch(target.resource.plural, target.name, {"metadata": {pairs.kind: new | gone}}, target.namespace)
    return f"{said}{'' if new else 'un'}{_DONE[pairs.kind]}"


def read_patch(text: str | None, file: Path | None) -> Any:
    """The patch as YAML or JSON, from the command line or a file."""
    if (text is None) == (file is None):
        raise UsageError("give the patch by -p TEXT or by --patch-file FILE")
    where = "--patch" if file is None else str(file)
    try:
        content = text if file is None else file.read_text()
    except OSError as error:
        raise KubinetError(f"{where}: {error.strerror}") from error
    documents = [document.value for document in parse_documents(content or "", where)]
    if len(documents) != 1:
        raise UsageError(f"{where}: a patch is one document, {len(documents)} were found")
    return documents[0]


def patch(client: "Client", target: Target, body: Any, type_: str, subresource: str | None) -> str:
    """Patch one object; returns what kubectl says."""
    if type_ not in PATCHES:
        raise UsageError(f"--type={type_}: write strategic, merge or json")
    kind = next(one for one in PATCHES if one == type_)
    expected, word = (list, "a list of operations") if kind == "json" else (dict, "an object")
    if not isinstance(body, expected):
        raise UsageError(f"a patch of type {type_} is {word}, not {json.dumps(body)[:60]}")
    before = client.get(target.resource.plural, target.name, target.namespace)
    after = client.patch(
        target.resource.plural, target.name, body, target.namespace, type=kind, subresource=subresource
    )
    same = bool(before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"])
    return f"{name_of(target.resource, target.name)} patched" + " (no change)" * same
