"""Settings (`--set`) written into a Topology document, before its schema is checked."""

from collections.abc import Mapping
from typing import Any

from kubinet.errors import UsageError

_SPEC_SECTIONS = ("network", "defaults", "links")
_MAPPINGS = ("network", "defaults", "defaults.link")
_WHOLE_NUMBERS = ("mtu", "nodeCIDRMaskSize", "dnsReplicas")


def apply_settings(document: dict[str, Any], settings: Mapping[str, object]) -> None:
    """Write dotted settings into `document`; UsageError for those that no topology has.

    Where the document itself is wrong it is left as it is: its schema's check names the line.
    """
    for key, value in settings.items():
        section, _, rest = key.partition(".")
        if section not in _SPEC_SECTIONS or not rest:
            raise UsageError(
                f"'{key}' is no setting of this topology; use network.<field>, links.<field>, "
                "links.<link name>.<field> or a preset's parameter"
            )
        spec = document.setdefault("spec", {})
        if not isinstance(spec, dict):
            return
        if section == "links":
            _set_links(spec, key, rest, value)
        else:
            _set_field(spec, key, value)


def _set_field(spec: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    target = spec
    for depth, parent in enumerate(parents, start=1):
        target = target.setdefault(parent, {})
        if isinstance(target, dict):
            continue
        path = ".".join(parents[:depth])
        if path in _MAPPINGS:
            return
        raise UsageError(f"'{key}': {path} has no fields; use {path}=VALUE")
    target[last] = _scalar(target.get(last), value, last)


def _set_links(spec: dict[str, Any], key: str, rest: str, value: object) -> None:
    name, _, field = rest.rpartition(".")
    links = spec.get("links", [])
    if not isinstance(links, list) or not all(map(_is_link, links)):
        return
    chosen = [one for one in links if not name or name in (one.get("name"), "-".join(one["endpoints"]))]
    if not chosen:
        raise UsageError(f"'{key}': there is no link '{name}'; links are named as in `kubinet topology show`")
    for link in chosen:
        link[field] = _scalar(link.get(field), value, field)


def _is_link(entry: object) -> bool:
    ends = entry.get("endpoints") if isinstance(entry, dict) else None
    return isinstance(ends, list) and all(isinstance(end, str) for end in ends)


def _scalar(present: object, value: object, field: str) -> object:
    """A setting's text as the type that the field has."""
    if isinstance(value, str) and (isinstance(present, int) or field in _WHOLE_NUMBERS):
        try:
            return int(value)
        except ValueError as error:
            raise UsageError(f"{field}={value!r} is not a whole number") from error
    return value
