"""Whether an object that an experiment names can exist in a run's cluster. Pure."""

from collections.abc import Iterator

from experiments.design.existing import OWN_NAMESPACES, Existing
from experiments.near import listed, meant
from experiments.objectnames import ObjectName
from experiments.placenames import PlaceName

_AS_PLACES = {"Pod": "pod", "Service": "service"}


def missing_object(wanted: ObjectName, existing: Existing) -> str:
    """Why this object cannot exist, what is near and what there is; empty where it may."""
    if _may_exist(wanted, existing):
        return ""
    every = sorted({one for names in existing.objects for one in names.named})
    there = list(_words(wanted.kind, existing))
    elsewhere = [str(one) for one in every if one.name == wanted.name]
    hint = existing.hint(PlaceName("pod", wanted.name, wanted.namespace)) if wanted.kind == "Pod" else ""
    near = f" (did you mean '{elsewhere[0]}'?)" if elsewhere else meant(str(wanted), [*there, *map(str, every)])
    what = f"{wanted.kind}s" if there else "objects"
    where = "the topology" if wanted.kind == "Node" else "the manifests"
    return f"there is no {wanted}{hint or near}; {what} of {where}: {listed(there or map(str, every))}"


def _may_exist(wanted: ObjectName, existing: Existing) -> bool:
    if not existing.complete or wanted.namespace.startswith(OWN_NAMESPACES):
        return True
    if wanted.kind in _AS_PLACES:
        return existing.may_exist(PlaceName(_AS_PLACES[wanted.kind], wanted.name, wanted.namespace))
    if wanted.kind == "Node" and existing.may_exist(PlaceName("node", wanted.name)):
        return True
    return any(
        wanted in names.named
        or wanted.kind in names.kinds
        or any(
            (base.kind, base.namespace) == (wanted.kind, wanted.namespace) and wanted.name.startswith(base.name)
            for base in names.begun
        )
        for names in existing.objects
    )


def _words(kind: str, existing: Existing) -> Iterator[str]:
    """What there is of a kind, as an experiment writes it."""
    if kind == "Node":
        yield from (f"Node/{word.removeprefix('node/')}" for word in existing.words("node"))
    elif kind in _AS_PLACES:
        yield from (_as_object(kind, word) for word in existing.words(_AS_PLACES[kind]))
    else:
        for names in existing.objects:
            yield from sorted(str(one) for one in names.named if one.kind == kind)
        for names in existing.objects:
            yield from sorted(f"{one}…" for one in names.begun if one.kind == kind)


def _as_object(kind: str, word: str) -> str:
    """`pod/shop/b` as `shop:Pod/b`."""
    _, *namespace, name = word.split("/")
    return str(ObjectName(kind, name, *namespace))
