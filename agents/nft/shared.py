"""Elements of the shared maps. Where two Services claim one, the first in the order of their names has it."""

from collections.abc import Iterable, Mapping

from agents.nft.model import Elements, Fragment
from agents.nft.text import SharedChange

_Key = tuple[str, str]


class SharedElements:
    """Who claims which element, kept current Service by Service."""

    def __init__(self) -> None:
        self._claims: dict[_Key, dict[str, str]] = {}

    def change(self, changes: Iterable[tuple[str, Fragment, Fragment]]) -> Mapping[str, SharedChange]:
        """Take in Services' new fragments (key, before, after); returns what changes in each map or set."""
        before: dict[_Key, str | None] = {}
        for owner, old, new in changes:
            for key in old.shared.keys() - new.shared.keys():
                before.setdefault(key, self._value(key))
                self._claims[key].pop(owner, None)
            for key, value in new.shared.items():
                if old.shared.get(key) != value:
                    before.setdefault(key, self._value(key))
                    self._claims.setdefault(key, {})[owner] = value
        removed: dict[str, dict[str, str]] = {}
        added: dict[str, dict[str, str]] = {}
        for key, was in before.items():
            now = self._value(key)
            if now is None:
                self._claims.pop(key, None)
            if now == was:
                continue
            name, element = key
            if was is not None:
                removed.setdefault(name, {})[element] = was
            if now is not None:
                added.setdefault(name, {})[element] = now
        return {
            name: SharedChange(removed.get(name, {}), added.get(name, {})) for name in dict.fromkeys((*removed, *added))
        }

    def all(self) -> Mapping[str, Elements]:
        """Every element by map or set."""
        found: dict[str, dict[str, str]] = {}
        for name, element in self._claims:
            value = self._value((name, element))
            if value is not None:
                found.setdefault(name, {})[element] = value
        return found

    def _value(self, key: _Key) -> str | None:
        claims = self._claims.get(key)
        return claims[min(claims)] if claims else None
