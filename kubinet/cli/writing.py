"""`kubinet apply` and `kubinet delete`: one object after the other, each outcome said, errors at the file's line."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from kubinet.cli.printers import is_table, list_of, name_of, printer
from kubinet.cli.selection import Scope, Selected, Target
from kubinet.cli.waiting import wait_for
from kubinet.errors import ApiError, DeadlineError, InvalidInputError, UsageError
from kubinet.manifests import Manifest, read_manifests

if TYPE_CHECKING:
    from kubinet.client import Client, Resource

Object: TypeAlias = dict[str, Any]
Cascade: TypeAlias = Literal["Background", "Foreground", "Orphan"]

_FIELD_PATH: Final = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[\d+\])+")


def manifests_of(files: Sequence[str] | None, *, recursive: bool) -> list[Manifest]:
    """All objects of the files, read and checked before anything is asked of the API."""
    if not files:
        raise UsageError("name a manifest with -f FILE (a folder, or - for standard input)")
    found = [manifest for file in files for manifest in read_manifests(file, recursive=recursive)]
    if not found:
        raise InvalidInputError(f"{', '.join(files)}: no objects in it; a manifest has apiVersion, kind and metadata")
    return found


def resource_of(client: "Client", manifest: Manifest) -> "Resource":
    """The kind of a manifest as the server serves it; ApiError 404 where it does not."""
    kind, version = manifest.object["kind"], manifest.object["apiVersion"]
    for resource in client.resources():
        if (resource.kind, resource.group_version) == (kind, version):
            return resource
    raise ApiError(
        404, "NotFound", f'no matches for kind "{kind}" in version "{version}"; `kubinet api-resources` lists the kinds'
    )


def apply(
    client: "Client",
    manifests: Sequence[Manifest],
    *,
    namespace: str | None,
    dry_run: bool = False,
    output: str | None = None,
) -> int:
    """Apply each object in the files' order; the exit status. One that is refused does not stop the others."""
    show = None if is_table(output) or output == "name" else printer(output or "")
    done: list[Object] = []
    failed = False
    for manifest in manifests:
        try:
            resource = resource_of(client, manifest)
            obj = placed(manifest, resource, namespace)
            result, word = client.apply(obj, dry_run=dry_run)
        except ApiError as error:
            failed = True
            sys.stdout.flush()
            print(f"Error: {described(manifest, error)}", file=sys.stderr)
            continue
        done.append(result)
        name = name_of(resource, result["metadata"]["name"])
        if show is None:
            note = "" if output == "name" else f" {word}{' (server dry run)' if dry_run else ''}"
            print(f"{name}{note}")
    if show is not None and done:
        sys.stdout.write(show(done[0] if len(done) == 1 else list_of(done)))
    return int(failed)


def placed(manifest: Manifest, resource: "Resource", namespace: str | None) -> Object:
    """The object with its namespace filled in; InvalidInputError where file and `-n` disagree."""
    if not resource.namespaced:
        return manifest.object
    if namespace is not None and manifest.namespace not in (None, namespace):
        raise InvalidInputError(
            f'{manifest.where}: the namespace of the object is "{manifest.namespace}", not "{namespace}"; '
            f"leave -n away or use -n {manifest.namespace}"
        )
    chosen = manifest.namespace or namespace or "default"
    return {**manifest.object, "metadata": {**manifest.object["metadata"], "namespace": chosen}}


def described(manifest: Manifest, error: ApiError) -> str:
    """The refusal with file, line (of the field it names, where it names one), document and object."""
    line = manifest.line
    for match in _FIELD_PATH.finditer(error.message):
        path = _path(match[0])
        if path[0] in manifest.object:
            line = manifest.line_of(path)
            break
    metadata = manifest.object["metadata"]
    name = metadata.get("name") or metadata.get("generateName")
    return f'{manifest.source}:{line} (document {manifest.document}): {manifest.object["kind"]} "{name}": {error}'


def _path(text: str) -> list[str | int]:
    parts = re.findall(r"[\w-]+", text)
    return [int(part) if part.isdigit() else part for part in parts]


@dataclass(frozen=True, slots=True)
class Deletion:
    """How `kubinet delete` deletes."""

    grace_period: int | None = None
    cascade: Cascade = "Background"
    wait: bool = True
    timeout: float | None = None
    """Seconds to wait for each object's end; None for no limit."""
    ignore_not_found: bool = False
    only_names: bool = False
    force: bool = False


def targets_of_manifests(client: "Client", manifests: Sequence[Manifest], namespace: str | None) -> Iterator[Target]:
    """The manifests' objects, in their order."""
    for manifest in manifests:
        resource = resource_of(client, manifest)
        obj = placed(manifest, resource, namespace)
        name = obj["metadata"].get("name")
        if not name:
            raise InvalidInputError(f"{manifest.where}: an object with generateName only cannot be found again")
        yield Target(resource, obj["metadata"].get("namespace") if resource.namespaced else None, name)


def targets_of_selection(
    client: "Client",
    selected: Sequence[Selected],
    scope: Scope,
    *,
    every: bool,
    labels: str | None,
    fields: str | None,
) -> Iterator[Target]:
    """The objects that names, selectors or `--all` choose."""
    for one in selected:
        where = scope.of(one.resource)
        if one.names:
            if every or labels or fields:
                raise UsageError("names exclude --all and selectors; give one of them")
            if scope.everywhere and one.resource.namespaced:
                raise UsageError("an object is not found by name in all namespaces; name its namespace with -n")
            yield from (Target(one.resource, where, name) for name in one.names)
        elif every or labels or fields:
            parameters = {"labelSelector": labels, "fieldSelector": fields}
            chosen = {key: value for key, value in parameters.items() if value}
            items = client.raw("GET", one.resource.path(where), params=chosen).json()["items"]
            yield from (
                Target(one.resource, item["metadata"].get("namespace"), item["metadata"]["name"]) for item in items
            )
        else:
            raise UsageError(f"{one.resource.plural}: name the objects, or choose them with -l, or take them --all")


def delete(client: "Client", targets: Sequence[Target], deletion: Deletion) -> int:
    """Ask for each deletion, say so, then wait until all are gone; the exit status."""
    failed = False
    pending: list[tuple[Target, str]] = []
    for target in targets:
        try:
            answer = _delete(client, target, deletion)
        except ApiError as error:
            if error.status == 404 and deletion.ignore_not_found:
                continue
            failed = True
            sys.stdout.flush()
            print(f"Error: {error}", file=sys.stderr)
            continue
        metadata = answer.get("metadata") or {}
        pending.append((target, metadata.get("uid") or (answer.get("details") or {}).get("uid") or ""))
        print(name_of(target.resource, target.name) if deletion.only_names else _deleted(target, deletion))
    sys.stdout.flush()
    if deletion.wait:
        for target, uid in pending:
            _wait_gone(client, target, uid, deletion.timeout)
    return int(failed)


def _deleted(target: Target, deletion: Deletion) -> str:
    kind = name_of(target.resource, "")[:-1]
    return f'{kind} "{target.name}" {"force " if deletion.force else ""}deleted'


def _delete(client: "Client", target: Target, deletion: Deletion) -> Object:
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": deletion.cascade}
    if deletion.grace_period is not None:
        options["gracePeriodSeconds"] = deletion.grace_period
    answer: Object = client.raw("DELETE", target.resource.path(target.namespace, target.name), json=options).json()
    return answer


def _wait_gone(client: "Client", target: Target, uid: str, timeout: float | None) -> None:
    def gone(obj: Object | None) -> bool:
        return obj is None or (bool(uid) and obj["metadata"].get("uid") != uid)

    deadline = None if timeout is None else time.monotonic() + timeout
    done, last = wait_for(client, target, gone, deadline)
    if not done:
        finalizers = ", ".join((last or {}).get("metadata", {}).get("finalizers", []))
        why = f"; its finalizers are {finalizers}" if finalizers else "; its grace period may be longer"
        raise DeadlineError(
            f"timed out waiting for {target.resource.plural}/{target.name} to be gone after {timeout:g} s{why}"
        )
