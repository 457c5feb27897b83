"""What somebody may have meant who wrote a name that does not exist. Pure."""

import difflib
from collections.abc import Iterable
from typing import Final

_SHOWN: Final = 10


def meant(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'pod/web'?)`; empty where nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def listed(known: Iterable[str]) -> str:
    """The first names, and `…` where there are more; `none` for none."""
    names = list(known)
    return ", ".join([*names[:_SHOWN], *(["…"] if len(names) > _SHOWN else [])]) or "none"
