"""ConfigMap, Secret and Node."""

import base64
import binascii
from ipaddress import ip_network

from controller.api.status import Cause, Object
from controller.api.validation.causes import forbidden, invalid, required
from controller.api.validation.names import config_key, label_value, qualified_name

_MAX_DATA = 1024 * 1024
_SECRET_KEYS = {"kubernetes.io/tls": ("tls.crt", "tls.key"), "kubernetes.io/dockerconfigjson": (".dockerconfigjson",)}


def _keys(field: str, data: Object | None) -> list[Cause]:
    return [invalid(f"{field}[{key}]", key, why) for key in data or () if (why := config_key(key))]


def _size(obj: Object) -> list[Cause]:
    data = [*(obj.get("data") or {}).values(), *(obj.get("binaryData") or {}).values()]
    if sum(len(value) for value in data) > _MAX_DATA:
        return [Cause("FieldValueTooLong", f"Too long: may not be more than {_MAX_DATA} bytes", "data")]
    return []


def _base64(field: str, data: Object | None) -> list[Cause]:
    found = []
    for key, value in (data or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            found.append(invalid(f"{field}[{key}]", value, "illegal base64 data"))
    return found


def _immutable(new: Object, old: Object | None) -> list[Cause]:
    if not old or not old.get("immutable"):
        return []
    why = "field is immutable when `immutable` is set"
    found = [] if new.get("immutable") else [forbidden("immutable", why)]
    return found + [forbidden(key, why) for key in ("data", "binaryData") if new.get(key) != old.get(key)]


def config_map(new: Object, old: Object | None) -> list[Cause]:
    """Keys, size, base64, immutability."""
    found = _keys("data", new.get("data")) + _keys("binaryData", new.get("binaryData"))
    both = set(new.get("data") or ()) & set(new.get("binaryData") or ())
    found += [invalid(f"data[{key}]", key, "duplicate of key present in binaryData") for key in sorted(both)]
    return found + _size(new) + _base64("binaryData", new.get("binaryData")) + _immutable(new, old)


def secret(new: Object, old: Object | None) -> list[Cause]:
    """Keys, size, base64, the keys a type requires, immutability."""
    data = new.get("data") or {}
    found = _keys("data", data) + _size(new) + _base64("data", data) + _immutable(new, old)
    found += [required(f"data[{key}]") for key in _SECRET_KEYS.get(new["type"], ()) if key not in data]
    if old and old.get("type") != new["type"]:
        found.append(invalid("type", new["type"], "field is immutable"))
    return found


def node(new: Object, old: Object | None) -> list[Cause]:
    """Taints; pod CIDRs are networks and, once set, stay."""
    spec = new.get("spec") or {}
    found: list[Cause] = []
    seen = set()
    for index, taint in enumerate(spec.get("taints") or ()):
        where = f"metadata.taints[{index}]"
        if why := qualified_name(taint.get("key") or ""):
            found.append(invalid(f"{where}.key", taint.get("key", ""), why))
        if why := label_value(taint.get("value") or ""):
            found.append(invalid(f"{where}.value", taint["value"], why))
        if taint.get("effect") not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
            found.append(invalid(f"{where}.effect", taint.get("effect", ""), "invalid taint effect"))
        if (pair := (taint.get("key"), taint.get("effect"))) in seen:
            found.append(Cause("FieldValueDuplicate", f"Duplicate value: {pair}", where))
        seen.add(pair)
    for cidr in filter(None, [spec.get("podCIDR"), *(spec.get("podCIDRs") or ())]):
        try:
            ip_network(cidr)
        except ValueError as error:
            found.append(invalid("spec.podCIDR", cidr, str(error)))
    before = (old or {}).get("spec") or {}
    if before.get("podCIDR") and before["podCIDR"] != spec.get("podCIDR"):
        found.append(forbidden("spec.podCIDR", 'node updates may not change podCIDR except from "" to valid'))
    return found
