"""Names, labels, annotations, selectors (apimachinery's validation rules and messages)."""

import re
from typing import Any

from controller.api.status import Cause, Object
from controller.api.validation.causes import invalid, required

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_RFC1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PORT_NAME = re.compile(r"[a-z0-9-]+")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_RFC1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
    "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_ANNOTATIONS_LIMIT = 256 * 1024


def _longer(text: str, limit: int) -> str:
    return f"must be no more than {limit} characters" if len(text) > limit else ""


def label(name: str) -> str:
    """RFC 1123 label, 63 characters."""
    return _longer(name, 63) or ("" if _LABEL.fullmatch(name) else _LABEL_TEXT)


def subdomain(name: str) -> str:
    """RFC 1123 subdomain, 253 characters."""
    return _longer(name, 253) or ("" if _SUBDOMAIN.fullmatch(name) else _SUBDOMAIN_TEXT)


def rfc1035_label(name: str) -> str:
    """RFC 1035 label (Service names)."""
    return _longer(name, 63) or ("" if _RFC1035.fullmatch(name) else _RFC1035_TEXT)


def port_name(name: str) -> str:
    """IANA service name of a port, 15 characters (RFC 6335)."""
    if len(name) > 15:
        return "must be no more than 15 characters"
    if not _PORT_NAME.fullmatch(name):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", name):
        return "must contain at least one letter (a-z)"
    if "--" in name:
        return "must not contain consecutive hyphens"
    return "must not begin or end with a hyphen" if name[0] == "-" or name[-1] == "-" else ""


def config_key(key: str) -> str:
    """A key of a ConfigMap or Secret."""
    if not _CONFIG_KEY.fullmatch(key):
        return (
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
            "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        )
    return _longer(key, 253)


def qualified_name(name: str) -> str:
    """A label or annotation key: optional DNS prefix and name part."""
    prefix, slash, part = name.rpartition("/")
    if slash and (not prefix or subdomain(prefix)):
        return f"prefix part {subdomain(prefix) if prefix else 'must be non-empty'}"
    if not part:
        return "name part must be non-empty"
    if len(part) > 63:
        return "name part must be no more than 63 characters"
    return "" if _QUALIFIED.fullmatch(part) else _QUALIFIED_TEXT


def label_value(value: str) -> str:
    """A label's value, 63 characters."""
    return _longer(value, 63) or ("" if not value or _QUALIFIED.fullmatch(value) else _VALUE_TEXT)


def labels(field: str, values: Object | None) -> list[Cause]:
    """Keys and values of a label map."""
    found: list[Cause] = []
    for key, value in (values or {}).items():
        if why := qualified_name(key):
            found.append(invalid(field, key, why))
        if why := label_value(value):
            found.append(invalid(field, value, why))
    return found


def metadata(obj: Object, name_rule: Any) -> list[Cause]:
    """ObjectMeta: name, generateName, labels, annotations, finalizers, owners."""
    meta = obj["metadata"]
    found: list[Cause] = []
    name = meta.get("name") or ""
    if not name:
        found.append(required("metadata.name", "name or generateName is required"))
    elif why := name_rule(name):
        found.append(invalid("metadata.name", name, why))
    found += labels("metadata.labels", meta.get("labels"))
    total = 0
    for key, value in (meta.get("annotations") or {}).items():
        total += len(key) + len(value)
        if why := qualified_name(key.lower()):
            found.append(invalid("metadata.annotations", key, why))
    if total > _ANNOTATIONS_LIMIT:
        why = f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes"
        found.append(Cause("FieldValueTooLong", why, "metadata.annotations"))
    for index, finalizer in enumerate(meta.get("finalizers") or ()):
        if why := qualified_name(finalizer):
            found.append(invalid(f"metadata.finalizers[{index}]", finalizer, why))
    for index, owner in enumerate(meta.get("ownerReferences") or ()):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                where = f"metadata.ownerReferences[{index}].{key}"
                found.append(invalid(where, owner.get(key, ""), f"{key} must not be empty"))
    return found


_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def label_selector(field: str, selector: Object | None) -> list[Cause]:
    """A `LabelSelector` object."""
    selector = selector or {}
    found = labels(f"{field}.matchLabels", selector.get("matchLabels"))
    for index, term in enumerate(selector.get("matchExpressions") or ()):
        found += selector_term(f"{field}.matchExpressions[{index}]", term, _OPERATORS)
    return found


def selector_term(field: str, term: Object, operators: tuple[str, ...]) -> list[Cause]:
    """One expression of a selector."""
    found: list[Cause] = []
    operator, values = term.get("operator"), term.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            found.append(required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(Cause("FieldValueForbidden", f"Forbidden: {why}", f"{field}.values"))
    elif operator in operators:
        if len(values) != 1:
            found.append(required(f"{field}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    else:
        found.append(invalid(f"{field}.operator", operator or "", "not a valid selector operator"))
    if why := qualified_name(term.get("key") or ""):
        found.append(invalid(f"{field}.key", term.get("key", ""), why))
    for position, value in enumerate(values):
        if why := label_value(value):
            found.append(invalid(f"{field}.values[{position}]", value, why))
    return found
