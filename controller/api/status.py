"""Kubernetes' `Status` answers as exceptions: one constructor per reason, messages in upstream's wording."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
"""A parsed Kubernetes object, as on the wire."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason of an Invalid answer: which field, why."""

    reason: str
    message: str
    field: str

    def to_json(self) -> Object:
        """The wire form (`StatusCause`)."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


@dataclass
class StatusError(Exception):
    """A request that is answered with a failure `Status`."""

    code: int
    reason: str
    message: str
    details: Object = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.message} ({self.code} {self.reason})"

    def to_json(self) -> Object:
        """The wire form (`Status`)."""
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        # A 404 has them even when they tell nothing: kubectl debug relies on it.
        if self.details or self.code == 404:
            status["details"] = self.details
        return status


def success(details: Object) -> Object:
    """The `Status` that answers a completed delete."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _about(group: str, plural: str, name: str, **more: Any) -> Object:
    details: Object = {"name": name, "group": group, "kind": plural, **more}
    return {key: value for key, value in details.items() if value}


def qualified(group: str, resource: str) -> str:
    """`pods` or `networkpolicies.networking.k8s.io`, as upstream's messages name a resource."""
    return f"{resource}.{group}" if group else resource


def bad_request(message: str) -> StatusError:
    """400: the request cannot be understood."""
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    """401: no or a wrong bearer token."""
    return StatusError(401, "Unauthorized", "Unauthorized", headers={"WWW-Authenticate": "Bearer"})


def forbidden(group: str, plural: str, name: str, why: str, causes: Sequence[Cause] = ()) -> StatusError:
    """403: a rule of the cluster forbids this."""
    details = _about(group, plural, name, causes=[cause.to_json() for cause in causes])
    what = f'{qualified(group, plural)} "{name}"' if name else qualified(group, plural)
    return StatusError(403, "Forbidden", f"{what} is forbidden: {why}", details)


def not_found(group: str, plural: str, name: str) -> StatusError:
    """404: no such object."""
    return StatusError(404, "NotFound", f'{qualified(group, plural)} "{name}" not found', _about(group, plural, name))


def no_such_path() -> StatusError:
    """404: no such resource or path."""
    return StatusError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed(method: str, what: str) -> StatusError:
    """405: the resource exists, the verb does not."""
    return StatusError(
        405, "MethodNotAllowed", f"the server does not allow this method on the requested resource: {method} {what}"
    )


def already_exists(group: str, plural: str, name: str) -> StatusError:
    """409: create of a name that is taken."""
    return StatusError(
        409, "AlreadyExists", f'{qualified(group, plural)} "{name}" already exists', _about(group, plural, name)
    )


def conflict(group: str, plural: str, name: str, why: str) -> StatusError:
    """409: optimistic concurrency or a precondition failed."""
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _about(group, plural, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def expired(message: str) -> StatusError:
    """410: a resourceVersion or continue token older than the history."""
    return StatusError(410, "Expired", message)


def too_large(limit: int) -> StatusError:
    """413: the body is over the limit (bytes)."""
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def unsupported_media_type(got: str, accepted: Sequence[str]) -> StatusError:
    """415: a body format that is not understood."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return StatusError(415, "UnsupportedMediaType", f"{message} (got {got!r})" if got else message)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """422: the object is understood and breaks a rule; every broken rule is named."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _about(group, kind, name, causes=[cause.to_json() for cause in causes])
    return StatusError(422, "Invalid", f'{qualified(group, kind)} "{name}" is invalid: {text}', details)


def out_of_storage(why: str) -> StatusError:
    """507: the journal cannot be written; nothing was changed."""
    return StatusError(
        507,
        "InternalError",
        f"the API's journal cannot be written ({why}); nothing was changed: "
        "free space under the state folder and try again",
    )


def internal(message: str) -> StatusError:
    """500: a defect of the server."""
    return StatusError(500, "InternalError", f"Internal error occurred: {message}")
