"""Volumes of a pod as mounts of its containers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from agents.podsources import ContainerConfigError, Surroundings, field_value, quantity, resource_value
from agents.podspec import Container, Pod
from kubinet.cri import EmptyDirSource, FilesSource, HostPathSource, MountSpec

Object = Mapping[str, Any]
Source = EmptyDirSource | FilesSource | HostPathSource
_DEFAULT_MODE: Final = 0o644


def mounts(pod: Pod, container: Container, around: Surroundings) -> tuple[MountSpec, ...]:
    """What the container mounts; ContainerConfigError names the volume that cannot be had."""
    volumes = {volume["name"]: volume for volume in pod.wire["spec"].get("volumes") or ()}
    found = []
    for mount in container.wire.get("volumeMounts") or ():
        name = mount["name"]
        if name not in volumes:
            raise ContainerConfigError(f'volumeMounts: volume "{name}" is not in spec.volumes')
        if mount.get("subPathExpr"):
            raise ContainerConfigError(f'volume "{name}": subPathExpr is not supported; use subPath')
        found.append(
            MountSpec(
                target=Path(mount["mountPath"]),
                source=_source(volumes[name], pod, container, around),
                read_only=bool(mount.get("readOnly")),
                sub_path=mount.get("subPath") or "",
            )
        )
    return tuple(found)


def _source(volume: Object, pod: Pod, container: Container, around: Surroundings) -> Source:
    name = volume["name"]
    for kind, make in _SOURCES.items():
        if kind in volume:
            return make(name, volume[kind] or {}, pod, container, around)
    kinds = [key for key in volume if key != "name"]
    raise ContainerConfigError(
        f'volume "{name}": type {kinds[0] if kinds else "unknown"} is not supported; '
        f"Kubinet has {', '.join(sorted(_SOURCES))}"
    )


def _empty_dir(name: str, spec: Object, *_: object) -> Source:
    limit = spec.get("sizeLimit")
    return EmptyDirSource(name, int(quantity(str(limit))) if limit else None)


def _host_path(name: str, spec: Object, *_: object) -> Source:
    path = Path(spec["path"])
    if not path.exists():
        raise ContainerConfigError(f'volume "{name}": hostPath {path} does not exist; Kubinet does not create it')
    return HostPathSource(path)


def _config_map(name: str, spec: Object, pod: Pod, _: Container, around: Surroundings) -> Source:
    return FilesSource(name, _files("ConfigMap", spec["name"], spec, pod, around), _mode(spec))


def _secret(name: str, spec: Object, pod: Pod, _: Container, around: Surroundings) -> Source:
    return FilesSource(name, _files("Secret", spec["secretName"], spec, pod, around), _mode(spec))


def _downward(name: str, spec: Object, pod: Pod, container: Container, around: Surroundings) -> Source:
    return FilesSource(name, _fields(spec, pod, container, around), _mode(spec))


def _projected(name: str, spec: Object, pod: Pod, container: Container, around: Surroundings) -> Source:
    files: dict[str, bytes] = {}
    for entry in spec.get("sources") or ():
        if "configMap" in entry:
            files |= _files("ConfigMap", entry["configMap"]["name"], entry["configMap"], pod, around)
        elif "secret" in entry:
            files |= _files("Secret", entry["secret"]["name"], entry["secret"], pod, around)
        elif "downwardAPI" in entry:
            files |= _fields(entry["downwardAPI"], pod, container, around)
        elif "serviceAccountToken" in entry:
            source = entry["serviceAccountToken"]
            files[source["path"]] = around.token(pod, source).encode()
        else:
            kinds = ", ".join(entry) or "nothing"
            raise ContainerConfigError(
                f'volume "{name}": a projected {kinds} is not supported; '
                "use configMap, secret, downwardAPI or serviceAccountToken"
            )
    return FilesSource(name, files, _mode(spec))


def _files(kind: str, name: str, spec: Object, pod: Pod, around: Surroundings) -> dict[str, bytes]:
    optional = bool(spec.get("optional"))
    data = around.data(pod, kind, name, optional=optional)
    if data is None:
        return {}
    items = spec.get("items")
    if items is None:
        return dict(data)
    files = {}
    for item in items:
        if item["key"] in data:
            files[item["path"]] = data[item["key"]]
        elif not optional:
            raise ContainerConfigError(f'{kind.lower()} "{name}" has no key "{item["key"]}"')
    return files


def _fields(spec: Object, pod: Pod, container: Container, around: Surroundings) -> dict[str, bytes]:
    files = {}
    for item in spec.get("items") or ():
        if item.get("fieldRef"):
            text = field_value(pod, item["fieldRef"]["fieldPath"], around)
        else:
            text = resource_value(pod, item["resourceFieldRef"], container.wire, around)
        files[item["path"]] = text.encode()
    return files


def _mode(spec: Object) -> int:
    mode = spec.get("defaultMode")
    return _DEFAULT_MODE if mode is None else int(mode)


_SOURCES: Final[Mapping[str, Callable[[str, Object, Pod, Container, Surroundings], Source]]] = {
    "emptyDir": _empty_dir,
    "configMap": _config_map,
    "secret": _secret,
    "downwardAPI": _downward,
    "projected": _projected,
    "hostPath": _host_path,
}
