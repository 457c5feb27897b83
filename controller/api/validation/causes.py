"""Constructors of `Cause` in upstream's wording (apimachinery's field errors)."""

import json
from collections.abc import Iterable
from typing import Any

from controller.api.status import Cause


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def invalid(field: str, value: Any, why: str) -> Cause:
    """A value that breaks a rule."""
    return Cause("FieldValueInvalid", f"Invalid value: {_shown(value)}: {why}", field)


def type_invalid(field: str, value: Any, why: str) -> Cause:
    """A value of the wrong type in an object whose kind a CRD defines (of others it cannot be decoded at all)."""
    return Cause("FieldValueTypeInvalid", f"Invalid value: {_shown(value)}: {why}", field)


def too_long(field: str, limit: int) -> Cause:
    """A text over its limit (characters, which upstream's message calls bytes)."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", field)


def too_many(field: str, count: int, limit: int) -> Cause:
    """A list or an object with more members than allowed."""
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", field)


def required(field: str, why: str = "") -> Cause:
    """A field that must be there."""
    return Cause("FieldValueRequired", f"Required value: {why}" if why else "Required value", field)


def forbidden(field: str, why: str) -> Cause:
    """A field that must not be there."""
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def duplicate(field: str, value: Any) -> Cause:
    """A value that must be unique."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {_shown(value)}", field)


def not_supported(field: str, value: Any, allowed: Iterable[str]) -> Cause:
    """A value outside an enumeration."""
    words = ", ".join(f'"{word}"' for word in allowed)
    return Cause("FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {words}", field)


def not_found(field: str, value: Any) -> Cause:
    """A reference to something that is not there."""
    return Cause("FieldValueNotFound", f"Not found: {_shown(value)}", field)


def one_of(field: str, value: Any, allowed: tuple[str, ...]) -> list[Cause]:
    """Unsupported value unless `value` is one of `allowed`; absent is required."""
    if value in (None, ""):
        return [required(field)]
    return [] if value in allowed else [not_supported(field, value, sorted(allowed))]


def port_number(field: str, value: Any) -> list[Cause]:
    """1 to 65535."""
    return [] if isinstance(value, int) and 1 <= value <= 65535 else [invalid(field, value, PORT_RANGE)]


PORT_RANGE = "must be between 1 and 65535, inclusive"
