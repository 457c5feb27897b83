"""What a command line means by `po,svc`, `pod/a svc/b`, `netpol x y`: kinds, names and where they live."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubinet.errors import UsageError

if TYPE_CHECKING:
    from kubinet.client import Client, Resource


_ALL: Final = frozenset(("pods", "services", "daemonsets", "deployments", "replicasets", "statefulsets", "jobs"))
"""What kubectl's category `all` has of the kinds here."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One kind, and the names asked for; no names means all."""

    resource: "Resource"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """One object; the namespace is None for cluster-scoped kinds."""

    resource: "Resource"
    namespace: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look: one namespace, or all of them."""

    namespace: str | None = None
    everywhere: bool = False

    def of(self, resource: "Resource") -> str | None:
        """The namespace for a request about this kind; None for cluster-scoped kinds and for all namespaces."""
        if not resource.namespaced or self.everywhere:
            return None
        return self.namespace or "default"

    def text(self, resource: "Resource") -> str:
        """`in default namespace`, for messages; empty where there is none."""
        where = self.of(resource)
        return f" in {where} namespace" if where else ""


def select(client: "Client", words: Sequence[str]) -> list[Selected]:
    """The kinds and names that the words mean; UsageError for a mixture that kubectl would not take either."""
    if not words:
        raise UsageError("name a kind, such as pods, or KIND/NAME; `kubinet api-resources` lists the kinds")
    if any("/" in word for word in words):
        wrong = [word for word in words if word.count("/") != 1 or word.startswith("/") or word.endswith("/")]
        if wrong:
            raise UsageError(f"{wrong[0]!r}: where one argument is KIND/NAME, all are; write each as KIND/NAME")
        pairs = [word.split("/") for word in words]
        return [Selected(client.resource(kind), (name,)) for kind, name in pairs]
    kinds = [kind for kind in words[0].split(",") if kind]
    names = tuple(words[1:])
    if kinds == ["all"]:
        return [Selected(resource) for resource in client.resources() if resource.plural in _ALL]
    if not kinds:
        raise UsageError(f"{words[0]!r} names no kind; `kubinet api-resources` lists the kinds")
    return [Selected(client.resource(kind), names) for kind in kinds]


def select_one(client: "Client", word: str, kind: str = "pods") -> tuple["Resource", str]:
    """`NAME` (of the kind meant by default) or `KIND/NAME`."""
    left, slash, right = word.partition("/")
    if slash and not (left and right and "/" not in right):
        raise UsageError(f"{word!r} must be NAME or KIND/NAME")
    return (client.resource(left), right) if slash else (client.resource(kind), word)
