"""Pod (v1): `dnsPolicy`, `dnsConfig` and `hostAliases`, which become resolv.conf and hosts."""

import re
from typing import Final

from controller.api.status import Cause, Object
from controller.api.validation.addresses import address
from controller.api.validation.causes import invalid, one_of, required
from controller.api.validation.names import subdomain

_POLICIES: Final = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_NAMESERVERS: Final = 3
_SEARCHES: Final = 32
_SEARCH_CHARACTERS: Final = 2048
_LABEL: Final = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCH: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?|\.")
"""Underscores and a final dot are allowed since Kubernetes 1.32, and `.` alone."""
_SEARCH_TEXT: Final = (
    "a search domain must consist of lower case alphanumeric characters, '-', '_' or '.', and its labels must end with "
    "an alphanumeric character (e.g. 'svc.example.com')"
)


def pod_dns(spec: Object, path: str) -> list[Cause]:
    """What a PodSpec says of names."""
    found = one_of(f"{path}.dnsPolicy", spec["dnsPolicy"], _POLICIES)
    config: Object = spec.get("dnsConfig") or {}
    if spec["dnsPolicy"] == "None" and not config.get("nameservers"):
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        found.append(required(f"{path}.dnsConfig.nameservers", why))
    return found + _config(f"{path}.dnsConfig", config) + _aliases(f"{path}.hostAliases", spec)


def _config(path: str, config: Object) -> list[Cause]:
    found: list[Cause] = []
    servers = config.get("nameservers") or []
    if len(servers) > _NAMESERVERS:
        found.append(invalid(f"{path}.nameservers", servers, f"must not have more than {_NAMESERVERS} nameservers"))
    for index, server in enumerate(servers):
        found += address(f"{path}.nameservers[{index}]", server)
    searches = config.get("searches") or []
    if len(searches) > _SEARCHES:
        found.append(invalid(f"{path}.searches", searches, f"must not have more than {_SEARCHES} search paths"))
    if len(" ".join(searches)) > _SEARCH_CHARACTERS:
        why = f"must not have more than {_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        found.append(invalid(f"{path}.searches", searches, why))
    for index, search in enumerate(searches):
        if len(search) > 254 or not _SEARCH.fullmatch(search):
            found.append(invalid(f"{path}.searches[{index}]", search, _SEARCH_TEXT))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            found.append(required(f"{path}.options[{index}]", "must not be empty"))
    return found


def _aliases(path: str, spec: Object) -> list[Cause]:
    found: list[Cause] = []
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        found += address(f"{path}[{index}].ip", alias.get("ip") or "")
        for number, name in enumerate(alias.get("hostnames") or ()):
            if why := subdomain(name):
                found.append(invalid(f"{path}[{index}].hostnames[{number}]", name, why))
    return found
