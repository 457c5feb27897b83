"""List answers: joined from the objects' encoded bytes, in pages that show one state of the store."""

import base64
import binascii
from dataclasses import dataclass

import orjson

from controller.api import tables
from controller.api.registry import Kind
from controller.api.request import Request
from controller.api.selectors import predicate
from controller.api.status import Object, StatusError, bad_request, expired
from controller.api.store import Key, Store, Stored


@dataclass(frozen=True, slots=True)
class Page:
    """What a list answers."""

    items: list[Stored]
    metadata: Object


def _token(version: int, key: Key) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"v": version, "k": key})).decode().rstrip("=")


def _parse_token(text: str) -> tuple[int, Key]:
    try:
        token = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        namespace, name = token["k"]
        return int(token["v"]), (str(namespace), str(name))
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise bad_request("continue key is not valid: start the list again without it") from None


def page(store: Store, request: Request) -> Page:
    """The selected objects, from the continue token on, at most `limit`."""
    kind, namespace = request.target.kind, request.target.namespace
    selected = predicate(request.label_selector(), request.field_selector())
    limit, token = request.number("limit") or 0, request.query.get("continue", "")
    version = store.version
    if token:
        version, last = _parse_token(token)
        try:
            pairs = [pair for pair in store.select_at(kind.key, namespace, version) if pair[0] > last]
        except StatusError:
            message = "The provided continue parameter is too old to display a consistent list result: list again"
            raise expired(message) from None
        found = [stored for _, stored in pairs]
    else:
        found = store.select(kind.key, namespace)
    if selected is not None:
        found = [stored for stored in found if selected(stored.object)]
    metadata: Object = {"resourceVersion": str(version)}
    if 0 < limit < len(found):
        last_metadata = found[limit - 1].object["metadata"]
        metadata["continue"] = _token(version, (last_metadata.get("namespace", ""), last_metadata["name"]))
        if selected is None:
            metadata["remainingItemCount"] = len(found) - limit
        found = found[:limit]
    return Page(found, metadata)


def encode(kind: Kind, answer: Page, accept: str, include: str) -> bytes:
    """The page as a list object, or as a table when the client prefers one."""
    if tables.wanted(accept):
        return orjson.dumps(tables.table(kind, answer.items, answer.metadata, include))
    head = {"kind": f"{kind.kind}List", "apiVersion": kind.group_version, "metadata": answer.metadata, "items": []}
    return orjson.dumps(head)[:-2] + b",".join([item.encoded for item in answer.items]) + b"]}"
