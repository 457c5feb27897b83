"""Places as experiments name them: `pod/a`, `node/n1`, `service/shop/web:80`, `10.0.0.1:53`. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from experiments.base import Holds
from kubinet.errors import UsageError

_KINDS: Final = ("pod", "node", "outside")
FORMS: Final = "pod/NAME, pod/NAMESPACE/NAME, node/NAME or outside/NAME"
_MORE_FORMS: Final = f"{FORMS}, service/NAME[:PORT], service/NAMESPACE/NAME[:PORT] or A.B.C.D[:PORT]"


@dataclass(frozen=True, slots=True)
class PlaceName:
    """A place as an experiment's file names it."""

    kind: str
    """`pod`, `node`, `outside`, `service`, `address`, or `link` where packets are captured."""
    name: str
    namespace: str = "default"
    port: int | None = None


def parse_place(text: str) -> PlaceName:
    """Read `pod/a`, `service/web:80`, `10.0.0.1:80`, …; UsageError naming the forms."""
    body, _, digits = text.rpartition(":") if ":" in text else (text, "", "")
    if digits and not digits.isdigit():
        raise UsageError(f"place '{text}': '{digits}' is no port; write {_MORE_FORMS}")
    port = int(digits) if digits else None
    kind, *names = body.split("/")
    if not names:
        try:
            return PlaceName("address", str(IPv4Address(body)), port=port)
        except AddressValueError:
            raise UsageError(f"place '{text}' is not known; write {_MORE_FORMS}") from None
    fits = kind in (*_KINDS, "service") and all(names) and len(names) <= (2 if kind in ("pod", "service") else 1)
    if not fits or (port is not None and kind != "service"):
        raise UsageError(f"place '{text}' is not known; write {_MORE_FORMS}")
    return PlaceName(kind, names[-1], names[0] if len(names) == 2 else "default", port)


_LISTED: Final = re.compile(r"[,\s]+")
_IN_WORDS: Final = re.compile(r"->|[,;>=\s]+")
_NONE: Final = "none"


def places_in(text: str, holds: Holds) -> Iterator[tuple[str, PlaceName]]:
    """The places that a parameter's text names, each with its word; UsageError for a word that is no place."""
    match holds:
        case Holds.MANIFESTS | Holds.OBJECTS:
            return
        case Holds.PLACES_IN_WORDS:
            yield from ((word, parse_place(word)) for word in _IN_WORDS.split(text) if "/" in word)
        case Holds.LINKS:
            yield from ((word, PlaceName("link", word)) for word in _words(text))
        case Holds.CAPTURED:
            yield from ((word, _captured(word)) for word in _words(text))
        case Holds.PLACES:
            yield from ((word, parse_place(word)) for word in _words(text) if word != _NONE)


def _words(text: str) -> Iterator[str]:
    return filter(None, _LISTED.split(text))


def _captured(word: str) -> PlaceName:
    kind, _, rest = word.partition("/")
    if kind == "link":
        return PlaceName(kind, rest)
    return parse_place(word.partition(":")[0] if kind == "node" else word)
