"""Questions that are answered and not stored: whose token this is, what its user may do; and new tokens."""

from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from controller.api import access, codec
from controller.api.objects import Objects
from controller.api.registry import POD, SERVICE_ACCOUNT
from controller.api.request import Request
from controller.api.rest import Handler, json_response
from controller.api.status import Cause, Object, StatusError, bad_request, conflict, invalid, method_not_allowed
from controller.api.tokens import ISSUER, Tokens

_AUTHENTICATION: Final = "authentication.k8s.io"
_AUTHORIZATION: Final = "authorization.k8s.io"
_DEFAULT_SECONDS: Final = 3600
_LEAST_SECONDS: Final = 600
_MOST_SECONDS: Final = 1 << 32


class Reviews:
    """Handlers for `Rest.subresources`."""

    def __init__(self, objects: Objects, tokens: Tokens) -> None:
        self._objects = objects
        self._tokens = tokens

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """By kind key and subresource."""
        return {
            (SERVICE_ACCOUNT.key, "token"): self._token_request,
            (f"selfsubjectreviews.{_AUTHENTICATION}", ""): self._self,
            (f"tokenreviews.{_AUTHENTICATION}", ""): self._token_review,
            (f"selfsubjectaccessreviews.{_AUTHORIZATION}", ""): self._self_access,
            (f"subjectaccessreviews.{_AUTHORIZATION}", ""): self._access,
            (f"selfsubjectrulesreviews.{_AUTHORIZATION}", ""): self._rules,
        }

    async def _body(self, request: Request, definition: str) -> Object:
        if request.http.method != "POST":
            raise method_not_allowed(request.http.method, request.target.kind.plural)
        decoded = codec.decode(await request.body(), request.content_type, definition, request.field_validation)
        request.warnings += decoded.warnings
        return decoded.object

    async def _review(self, request: Request) -> tuple[Object, Object]:
        """The object, complete but for its status, and its spec."""
        kind = request.target.kind
        obj = await self._body(request, kind.schema)
        obj |= {"apiVersion": kind.group_version, "kind": kind.kind}
        obj.setdefault("metadata", {})
        return obj, obj.get("spec") or {}

    async def _token_request(self, request: Request) -> web.Response:
        target = request.target
        obj = await self._body(request, "io.k8s.api.authentication.v1.TokenRequest")
        account = self._objects.get(SERVICE_ACCOUNT, target.namespace, target.name).object
        spec = obj.setdefault("spec", {})
        seconds = spec.get("expirationSeconds") or _DEFAULT_SECONDS
        if not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
            why = "may not specify a duration less than 10 minutes"
            if seconds > _MOST_SECONDS:
                why = "may not specify a duration larger than 2^32 seconds"
            cause = Cause("FieldValueInvalid", f"Invalid value: {seconds}: {why}", "spec.expirationSeconds")
            raise invalid(_AUTHENTICATION, "TokenRequest", "", [cause])
        pod = self._bound(target.namespace, target.name, spec.get("boundObjectRef"))
        audiences = spec.get("audiences") or [ISSUER]
        token = self._tokens.issue(account, seconds, audiences, pod)
        expires = datetime.fromtimestamp(token.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = {
            "kind": "TokenRequest",
            "apiVersion": f"{_AUTHENTICATION}/v1",
            "metadata": {key: account["metadata"][key] for key in ("name", "namespace")},
            "spec": {**spec, "audiences": audiences, "expirationSeconds": seconds},
            "status": {"token": token.text, "expirationTimestamp": expires},
        }
        return json_response(request, answer, 201)

    def _bound(self, namespace: str, account: str, reference: Object | None) -> Object | None:
        if not reference:
            return None
        if reference.get("kind") != "Pod":
            raise bad_request(f"cannot bind token for serviceaccount to kind {reference.get('kind')!r}: only to Pod")
        pod = self._objects.get(POD, namespace, reference.get("name") or "").object
        uid = pod["metadata"]["uid"]
        if reference.get("uid") not in (None, "", uid):
            why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record ({uid})"
            raise conflict("", "pods", pod["metadata"]["name"], why)
        if pod["spec"].get("serviceAccountName") != account:
            raise bad_request(f"cannot bind token to pod running with different service account name: {account}")
        return pod

    async def _self(self, request: Request) -> web.Response:
        obj, _ = await self._review(request)
        return json_response(request, obj | {"status": {"userInfo": _user_info(request.user)}}, 201)

    async def _token_review(self, request: Request) -> web.Response:
        obj, spec = await self._review(request)
        audiences = spec.get("audiences") or [ISSUER]
        status: Object
        try:
            user = self._tokens.check(spec.get("token") or "", audiences)
            status = {"authenticated": True, "user": _user_info(user), "audiences": audiences}
        except StatusError:
            status = {"user": {}, "error": "invalid bearer token"}
        return json_response(request, obj | {"status": status}, 201)

    async def _self_access(self, request: Request) -> web.Response:
        obj, spec = await self._review(request)
        return json_response(request, obj | {"status": _decide(request.user, spec)}, 201)

    async def _access(self, request: Request) -> web.Response:
        obj, spec = await self._review(request)
        return json_response(request, obj | {"status": _decide(_named(spec), spec)}, 201)

    async def _rules(self, request: Request) -> web.Response:
        obj, spec = await self._review(request)
        return json_response(request, obj | {"status": _rules(request.user, spec.get("namespace") or "default")}, 201)


def _user_info(user: access.User) -> Object:
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    return info | ({"extra": user.extra} if user.extra else {})


def _named(spec: Object) -> access.User:
    parts = (spec.get("user") or "").split(":")
    if parts[:2] == ["system", "serviceaccount"] and len(parts) == 4:
        return access.service_account(parts[2], parts[3])
    groups = tuple(spec.get("groups") or ())
    if spec.get("user") == access.ADMIN.name or "system:masters" in groups:
        return access.ADMIN
    return access.User(spec.get("user") or "", groups, namespace=access.NOBODY)


def _decide(user: access.User, spec: Object) -> Object:
    wanted = spec.get("resourceAttributes")
    if wanted is None:
        path = (spec.get("nonResourceAttributes") or {}).get("path") or ""
        if not path:
            raise bad_request("spec: exactly one of resourceAttributes and nonResourceAttributes is needed")
        verb = spec["nonResourceAttributes"].get("verb")
        refused = "" if verb in access.READING or user is access.ADMIN else "only reading is possible there"
    else:
        names = ("verb", "group", "resource", "namespace", "name", "subresource")
        given = {name: wanted.get(name) or "" for name in names}
        refused = access.refusal(user, access.Access(**given))
    return {"allowed": False, "reason": refused} if refused else {"allowed": True}


def _rules(user: access.User, namespace: str) -> Object:
    rule: dict[str, Any] = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    status: Object = {"resourceRules": [rule], "nonResourceRules": [], "incomplete": False}
    if access.refusal(user, access.Access("create", "", "pods", namespace)):
        rule["verbs"] = list(access.READING)
        status |= {"incomplete": True, "evaluationError": "Secrets of this namespace are not readable"}
    return status
