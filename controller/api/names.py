"""Suffixes of generated names."""

import secrets
from typing import Final

_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
"""Upstream's: without vowels and look-alikes, so that no words and no confusion come of it."""


def suffix() -> str:
    """Five random letters and digits, as in `generateName`."""
    return "".join(secrets.choice(_LETTERS) for _ in range(5))
