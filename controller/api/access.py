"""Who asks, and what they may do: one rule for all, in the place of Kubernetes' roles.

The cluster's own token and the service accounts of kube-system may do everything. Any other service account reads
everything but Secrets of other namespaces, and writes what is in its own namespace.
"""

from dataclasses import dataclass, field
from typing import Final

_PREFIX: Final = "system:serviceaccount:"
_PRIVILEGED: Final = "kube-system"
READING: Final = ("get", "list", "watch")
_STREAMS: Final = ("exec", "attach", "portforward", "proxy")
"""Subresources that act on what runs: no reading, even by GET (upstream looks at the method)."""


@dataclass(frozen=True, slots=True)
class User:
    """Who sent a request."""

    name: str
    groups: tuple[str, ...]
    namespace: str = ""
    """Of a service account; empty for the cluster's own token."""
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)
    """As `kubectl auth whoami` shows it: the pod that a token is bound to."""


NOBODY: Final = "-"
"""The namespace of users that we do not know: none has this name, so they only read."""
ADMIN: Final = User("kubernetes-admin", ("system:masters", "system:authenticated"))


def service_account(namespace: str, name: str, uid: str = "", extra: dict[str, list[str]] | None = None) -> User:
    """A service account as a user."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"{_PREFIX}{namespace}:{name}", groups, namespace, uid, extra or {})


@dataclass(frozen=True, slots=True)
class Access:
    """What a request wants to do to a resource."""

    verb: str
    """`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`."""
    group: str
    resource: str
    namespace: str = ""
    """Empty: all namespaces, or a cluster-scoped resource."""
    name: str = ""
    subresource: str = ""


def refusal(user: User, access: Access) -> str:
    """Why the user may not do this; empty when they may."""
    if not user.namespace or user.namespace == _PRIVILEGED:
        return ""
    if access.resource.startswith("selfsubject"):
        return ""  # everybody may ask about themselves
    own = access.namespace == user.namespace
    if access.verb in READING and access.subresource not in _STREAMS:
        if own or access.resource not in ("secrets", "*"):
            return ""
        return "Secrets are read in the service account's own namespace only"
    return "" if own else "a service account writes in its own namespace only"


def message(user: User, access: Access) -> str:
    """The refusal in upstream's words."""
    resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    what = f'cannot {access.verb} resource "{resource}" in API group "{access.group}" {where}'
    return f'User "{user.name}" {what}: {refusal(user, access)}'
