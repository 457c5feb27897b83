"""A small client of the Kubernetes REST API on `requests`: what the command line, the services and experiments use.

Objects are the API's JSON as dictionaries (`Object`); their meaning is decoded in `kubinet.kubernetes`. Paths of kinds
come from the server's discovery documents, so that a kind which the server learns needs no change here.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import orjson
import requests

from kubinet.errors import ApiError, KubinetError
from kubinet.jsonlink import JsonLink, LinkError
from kubinet.kubernetes import CHANGES

Object: TypeAlias = dict[str, Any]
PatchType = Literal["merge", "strategic", "json"]
ApplyResult = Literal["created", "configured", "unchanged"]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Where `kubectl apply` and `Client.apply` keep what the user wrote, for the next three-way merge."""

_PATCH_CONTENT_TYPE: Mapping[PatchType, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
_NOTHING: Mapping[str, str] = {}
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
"""Accept header that asks for the server's own columns."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the server serves it."""

    group_version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.group_version.rpartition("/")[0]

    @property
    def key(self) -> str:
        """`plural.group`, the plural alone in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def answers_to(self, word: str) -> bool:
        """Whether a user may mean this kind by `word` (kind, plural, singular, short name, plural.group)."""
        known = {self.plural, self.singular, self.kind.lower(), f"{self.plural}.{self.group}", *self.short_names}
        return word.lower() in known

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The request path of the collection, an object or its subresource."""
        parts = ["/apis" if "/" in self.group_version else "/api", self.group_version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR, and the object."""

    type: str
    object: Object

    def changes(self) -> Mapping[str, int]:
        """What a watch with `changes_of` tells by a bookmark: the version of the last change by `Resource.key`."""
        if self.type != "BOOKMARK":
            return {}
        annotations = self.object["metadata"].get("annotations") or {}
        changes: Mapping[str, int] = json.loads(annotations.get(CHANGES, "{}"))
        return changes


class Client:
    """A connection to one cluster's API. Not for use by two threads at once: `clone` it."""

    def __init__(self, url: str, token: str, *, ca: Path | None = None, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.ca = ca
        self.timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the user's has no way into the loopback
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.headers["User-Agent"] = "kubinet"
        self._session.verify = str(ca) if ca else True
        self._link = JsonLink(self.url, token, ca=ca, timeout=timeout)
        self.on_warning: Callable[[str], None] = lambda _text: None
        """Called with what the API warns of (`Warning: 299` headers, RFC 9111 of old)."""
        self._resources: tuple[Resource, ...] = ()
        self._discovery_lock = threading.Lock()

    def clone(self) -> "Client":
        """A client for another thread, with what discovery already told."""
        other = Client(self.url, self.token, ca=self.ca, timeout=self.timeout)
        other._resources = self._resources
        return other

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        self._link.close()

    # Discovery

    def resources(self) -> tuple[Resource, ...]:
        """Every kind that the server serves, in the server's order."""
        with self._discovery_lock:
            if not self._resources:
                self._resources = tuple(self._discover("/api")) + tuple(self._discover("/apis"))
            return self._resources

    def resource(self, kind: str) -> Resource:
        """The resource that `kind` names; ApiError 404 where the server has none."""
        found = self._find(kind)
        if found is None:
            self._resources = ()  # the server may have learned it since
            found = self._find(kind)
        if found is None:
            message = f"the server doesn't have a resource type {kind!r}; `kubinet api-resources` lists them"
            raise ApiError(404, "NotFound", message)
        return found

    def serves(self, kind: str) -> bool:
        """Whether the server has this kind."""
        return self._find(kind) is not None

    def last_changes(self, kinds: Sequence[str]) -> Mapping[str, int]:
        """The resourceVersion of each kind's last change, deletions among them."""
        keys = {self.resource(kind).key: kind for kind in kinds}
        # Any watch tells it; this one has next to nothing else to say.
        events = self.watch("Namespace", field_selector="metadata.name=default", changes_of=kinds, timeout=self.timeout)
        for event in events:
            if told := event.changes():
                return {keys[key]: version for key, version in told.items()}
        raise KubinetError(f"the API at {self.url} ended a watch before it told the last changes of {', '.join(kinds)}")

    def _find(self, kind: str) -> Resource | None:
        return next((resource for resource in self.resources() if resource.answers_to(kind)), None)

    def _discover(self, path: str) -> Iterator[Resource]:
        document = self.raw("GET", path, headers={"Accept": _DISCOVERY}).json()
        for group in document.get("items", ()):
            group_name = group.get("metadata", {}).get("name", "")
            seen: set[str] = set()
            # The server's preferred version comes first; a kind that it lacks is served in a later one.
            for version in group["versions"]:
                group_version = f"{group_name}/{version['version']}" if group_name else version["version"]
                for entry in version.get("resources", ()):
                    if entry["resource"] in seen:
                        continue
                    seen.add(entry["resource"])
                    yield Resource(
                        group_version=group_version,
                        plural=entry["resource"],
                        kind=entry["responseKind"]["kind"],
                        namespaced=entry.get("scope") == "Namespaced",
                        singular=entry.get("singularResource", ""),
                        short_names=tuple(entry.get("shortNames", ())),
                        verbs=tuple(entry.get("verbs", ())),
                    )

    # Requests

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """One request; `options` are those of `requests`. ApiError for an answer >= 400, KubinetError without one."""
        options.setdefault("timeout", self.timeout)
        try:
            response = self._session.request(method, self.url + path, **options)
        except requests.RequestException as error:
            raise self._no_answer(error) from error
        if response.status_code >= 400:
            raise _api_error(response.status_code, response.reason, response.content)
        self._heed(response.headers.get("Warning", ""))
        return response

    def _no_answer(self, error: Exception) -> KubinetError:
        return KubinetError(f"the API at {self.url} does not answer ({error}); `kubinet ls` shows which clusters run")

    def _heed(self, warnings: str) -> None:
        for text in _WARNING.findall(warnings):
            self.on_warning(text)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """One object."""
        resource = self.resource(kind)
        return self._json("GET", resource.path(self._namespace(resource, namespace), name))

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Object:
        """The kind's list object, of all namespaces where none is given."""
        parameters = _selectors(label_selector, field_selector)
        return self._json("GET", self.resource(kind).path(namespace), parameters)

    def create(self, obj: Object, *, dry_run: bool = False) -> Object:
        """Create the object; ApiError 409 where it exists."""
        resource, namespace, _ = self._identify(obj)
        return self._json("POST", resource.path(namespace), _writing(dry_run), obj)

    def replace(self, obj: Object, *, subresource: str | None = None) -> Object:
        """Put the object; ApiError 409 where its resourceVersion is not the newest."""
        resource, namespace, name = self._identify(obj)
        return self._json("PUT", resource.path(namespace, name, subresource), _writing(False), obj)

    def patch(
        self,
        kind: str,
        name: str,
        patch: object,
        namespace: str | None = None,
        *,
        type: PatchType = "merge",
        subresource: str | None = None,
    ) -> Object:
        """Patch the object (RFC 7386, Kubernetes' strategic merge, or RFC 6902) and return it as it is then."""
        resource = self.resource(kind)
        path = resource.path(self._namespace(resource, namespace), name, subresource)
        return self._json("PATCH", path, {}, patch, _PATCH_CONTENT_TYPE[type])

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        grace_period: int | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
    ) -> Object:
        """Ask for the object's deletion; it may live on until its grace period and finalizers are over."""
        resource = self.resource(kind)
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_period is not None:
            options["gracePeriodSeconds"] = grace_period
        if propagation is not None:
            options["propagationPolicy"] = propagation
        return self._json("DELETE", resource.path(self._namespace(resource, namespace), name), {}, options)

    def request_token(
        self,
        account: str,
        namespace: str,
        *,
        audiences: Sequence[str] = (),
        seconds: int | None = None,
        pod: tuple[str, str] | None = None,
    ) -> str:
        """A token of a service account (TokenRequest), which ends with `pod` (name, uid) where one is given."""
        spec: Object = {"audiences": list(audiences)}
        if seconds is not None:
            spec["expirationSeconds"] = seconds
        if pod is not None:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod[0], "uid": pod[1]}
        path = self.resource("serviceaccounts").path(namespace, account, "token")
        return str(self._json("POST", path, {}, {"spec": spec})["status"]["token"])

    def apply(self, obj: Object, *, dry_run: bool = False) -> tuple[Object, ApplyResult]:
        """Create the object, or make it what is wanted: server-side apply as manager `kubinet`, taking fields over.

        Fields that an earlier apply set and this one lacks are removed. `kubectl apply` may go on with the object.
        """
        resource, namespace, name = self._identify(obj)
        if not name:
            return self.create(obj, dry_run=dry_run), "created"
        path = resource.path(namespace, name)
        try:
            current: Object | None = self._json("GET", path)
        except ApiError as error:
            if error.status != 404:
                raise
            current = None
        parameters = _writing(dry_run) | {"force": "true"}
        result = self._json("PATCH", path, parameters, _with_last_applied(obj), "application/apply-patch+yaml")
        return result, "created" if current is None else "unchanged" if result == current else "configured"

    def watch(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        resource_version: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout: float | None = None,
        changes_of: Sequence[str] = (),
    ) -> Iterator[WatchEvent]:
        """Events until the server ends the watch; ApiError 410 when `resource_version` is too old to resume from.

        `changes_of`: other kinds; their changes are told by bookmarks (`WatchEvent.changes`) in the order of them all.
        """
        parameters = _selectors(label_selector, field_selector)
        parameters |= {"watch": "true", "allowWatchBookmarks": "true"}
        if changes_of:
            parameters["changesOf"] = ",".join(self.resource(other).key for other in changes_of)
        if resource_version is not None:
            parameters["resourceVersion"] = resource_version
        if timeout is not None:
            parameters["timeoutSeconds"] = str(max(1, round(timeout)))
        path = self.resource(kind).path(namespace)
        with self.raw("GET", path, params=parameters, stream=True, timeout=(self.timeout, None)) as response:
            yield from watch_events(response)

    def _json(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] = _NOTHING,
        content: object = None,
        content_type: str = "application/json",
    ) -> Object:
        """A request and its answer's object, past `requests`: our own parts make thousands of these."""
        body = b"" if content is None else json.dumps(content).encode()
        try:
            answer = self._link.request(method, path, parameters, body, content_type if body else "")
        except LinkError as error:
            raise self._no_answer(error) from error
        if answer.status >= 400:
            raise _api_error(answer.status, answer.reason, answer.body)
        self._heed(answer.headers.get("warning", ""))
        decoded: Object = orjson.loads(answer.body)
        return decoded

    def _identify(self, obj: Object) -> tuple[Resource, str | None, str]:
        kind, version = obj.get("kind"), obj.get("apiVersion")
        metadata = obj.get("metadata") or {}
        if not isinstance(kind, str) or not isinstance(version, str) or not isinstance(metadata, dict):
            raise KubinetError("an object needs apiVersion, kind and metadata; see `kubinet api-resources`")
        candidates = [r for r in self.resources() if r.kind == kind and r.group_version == version]
        if not candidates:
            message = f'no matches for kind "{kind}" in version "{version}"; see `kubinet api-resources`'
            raise ApiError(404, "NotFound", message)
        resource = candidates[0]
        namespace = self._namespace(resource, metadata.get("namespace"))
        return resource, namespace, metadata.get("name") or ""

    @staticmethod
    def _namespace(resource: Resource, namespace: str | None) -> str | None:
        return (namespace or "default") if resource.namespaced else None


def _with_last_applied(obj: Object) -> Object:
    metadata = {**(obj.get("metadata") or {})}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    plain = {**obj, "metadata": {**metadata, "annotations": annotations}}
    text = json.dumps(plain, separators=(",", ":"), sort_keys=True) + "\n"
    return {**obj, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    named = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in named.items() if value}


def _writing(dry_run: bool) -> dict[str, str]:
    return {"fieldValidation": "Strict", "fieldManager": "kubinet"} | ({"dryRun": "All"} if dry_run else {})


def watch_events(response: requests.Response) -> Iterator[WatchEvent]:
    """The events of a watch's streamed answer until the server closes it; ApiError for an event of type ERROR."""
    try:
        # Small chunks: an event must not wait until a large buffer fills.
        for line in response.iter_lines(chunk_size=None):
            if not line:
                continue
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                status = event["object"]
                raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
            yield WatchEvent(event["type"], event["object"])
    except requests.RequestException:
        return  # the server closed the watch; the caller lists again


def _api_error(code: int, phrase: str, body: bytes) -> ApiError:
    try:
        status = orjson.loads(body)
        return ApiError(code, status.get("reason", ""), status.get("message", phrase))
    except (ValueError, AttributeError):
        return ApiError(code, "", body.decode(errors="replace").strip() or phrase)
