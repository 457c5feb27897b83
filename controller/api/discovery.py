"""Discovery: which kinds are served, in the aggregated and the older form, and the server's version."""

from functools import cache
from typing import Any, Final

from controller.api.registry import KINDS, Kind, group_versions
from controller.api.status import Object

AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

# kubectl as installed by Google's cloud SDK picks its own version by this one.
VERSION: Final[Object] = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+kubinet",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}


def _subresources(kind: Kind) -> list[tuple[str, Object, list[str]]]:
    own = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    found: list[tuple[str, Object, list[str]]] = []
    if kind.has_status:
        found.append(("status", own, ["get", "patch", "update"]))
    for part in kind.subresources:
        group = {"group": part.group or kind.group, "version": part.version or kind.version, "kind": part.kind}
        found.append((part.name, group, list(part.verbs)))
    return sorted(found, key=lambda entry: entry[0])


def _aggregated_kind(kind: Kind) -> Object:
    entry: Object = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    parts = [{"subresource": name, "responseKind": gvk, "verbs": verbs} for name, gvk, verbs in _subresources(kind)]
    if parts:
        entry["subresources"] = parts
    return entry


@cache
def aggregated(core: bool) -> Object:
    """`APIGroupDiscoveryList` of the core group (/api) or of all others (/apis)."""
    groups: dict[str, list[Object]] = {}
    for (group, version), kinds in group_versions().items():
        if (group == "") is core:
            resources = [_aggregated_kind(kind) for kind in kinds]
            groups.setdefault(group, []).append({"version": version, "resources": resources, "freshness": "Current"})
    items = [{"metadata": {"name": group} if group else {}, "versions": list_} for group, list_ in groups.items()]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


@cache
def core_versions() -> Object:
    """`APIVersions`: /api in the older form."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


@cache
def groups() -> Object:
    """`APIGroupList`: /apis in the older form."""
    names = dict.fromkeys(kind.group for kind in KINDS if kind.group)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(name) for name in names]}


@cache
def group(name: str) -> Object | None:
    """`APIGroup`: /apis/NAME; None where there is none."""
    versions = [version for (group_name, version) in group_versions() if group_name == name and name]
    if not versions:
        return None
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": entries, "preferredVersion": entries[0]}


@cache
def resources(name: str, version: str) -> Object | None:
    """`APIResourceList`: /api/v1, /apis/GROUP/VERSION; None where there is none."""
    kinds = group_versions().get((name, version))
    if kinds is None:
        return None
    entries: list[Object] = []
    for kind in kinds:
        entry: dict[str, Any] = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": list(kind.verbs),
        }
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        entries.append(entry)
        for part, gvk, verbs in _subresources(kind):
            entry = {
                "name": f"{kind.plural}/{part}",
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": gvk["kind"],
                "verbs": verbs,
            }
            if (gvk["group"], gvk["version"]) != (kind.group, kind.version):
                entry |= {"group": gvk["group"], "version": gvk["version"]}
            entries.append(entry)
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": kinds[0].group_version, "resources": entries}
