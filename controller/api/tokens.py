"""Service account tokens: JSON Web Tokens (RFC 7519) with the claims that Kubernetes' own have.

They are signed with a key of the cluster's own (HS256): only the API makes and checks them.
"""

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt

from controller.api import access
from controller.api.registry import POD, SERVICE_ACCOUNT
from controller.api.status import Object, unauthorized
from controller.api.store import Store

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
"""Also the API's audience, as upstream's default."""
_ALGORITHM: Final = "HS256"
_KEY_BYTES: Final = 32
_EXTENDED_SECONDS: Final = 365 * 24 * 3600
MOUNTED_SECONDS: Final = 3607
"""What admission asks for; upstream's API server extends exactly this lifetime to a year, so nobody has to renew it."""


@dataclass(frozen=True, slots=True)
class Token:
    """A signed token and when it ends, seconds since the epoch."""

    text: str
    expires: int


def load_key(path: Path) -> bytes:
    """The signing key in a file of its own, made when it is missing: tokens stay good over a restart of the API."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
        draft.replace(path)
    return path.read_bytes()


class Tokens:
    """Signs and checks."""

    def __init__(self, store: Store, key: bytes) -> None:
        self._store = store
        self._key = key

    def issue(self, account: Object, seconds: int, audiences: list[str], pod: Object | None = None) -> Token:
        """A token of a ServiceAccount object, bound to a pod where one is given: it ends with the pod."""
        metadata = account["metadata"]
        now = int(time.time())
        about: dict[str, Any] = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if pod is not None:
            about["pod"] = {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
            if seconds == MOUNTED_SECONDS:
                about["warnafter"] = now + seconds
                seconds = _EXTENDED_SECONDS
        claims = {
            "iss": ISSUER,
            "aud": audiences or [ISSUER],
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "jti": secrets.token_hex(16),
            "kubernetes.io": about,
        }
        return Token(jwt.encode(claims, self._key, _ALGORITHM), now + seconds)

    def check(self, text: str, audiences: list[str] | None = None) -> access.User:
        """Whose token it is; 401 for one that is foreign, expired, for others, or whose account or pod is gone."""
        try:
            claims = jwt.decode(
                text,
                self._key,
                algorithms=[_ALGORITHM],
                audience=audiences or [ISSUER],
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub"]},
            )
            about = claims["kubernetes.io"]
            namespace, account = about["namespace"], about["serviceaccount"]
            bound = about.get("pod")
        except (jwt.InvalidTokenError, KeyError, TypeError):
            raise unauthorized() from None
        self._check_lives(SERVICE_ACCOUNT.key, namespace, account)
        extra = {}
        if bound is not None:
            self._check_lives(POD.key, namespace, bound)
            extra = {
                "authentication.kubernetes.io/pod-name": [bound["name"]],
                "authentication.kubernetes.io/pod-uid": [bound["uid"]],
            }
        return access.service_account(namespace, account["name"], account["uid"], extra)

    def _check_lives(self, kind: str, namespace: str, reference: Object) -> None:
        stored = self._store.get(kind, namespace, reference["name"])
        if stored is None or stored.object["metadata"]["uid"] != reference["uid"]:
            raise unauthorized()
