"""Steps that a user of the cluster takes: another number of replicas, objects that come and go."""

from typing import Any

from experiments.timeline.actions import Apply, Delete, Scale
from experiments.timeline.faults.base import Case, Fault, Memory, Stay
from experiments.timeline.site import Check, Site
from kubinet.errors import ApiError, KubinetError, UsageError
from kubinet.manifests import load_manifests, parse_manifests


class ScaledObject(Fault[Scale]):
    """`scale …`."""

    example = "at 10s: scale deploy/web 10"
    does = "sets the number of replicas of a Deployment, StatefulSet or ReplicaSet"
    presence = "the object's `spec.replicas` is the number"
    effect = "as many replicas are ready"
    recovery = "with an end, sets the earlier number; as many replicas are ready"
    stay = Stay.STEP

    def check(self, case: Case[Scale]) -> None:
        """Nothing: the object may be made by a line before this one."""

    def inject(self, case: Case[Scale]) -> Memory:
        before = case.site.client.get(case.action.kind, case.action.name, case.action.namespace)["spec"].get(
            "replicas", 1
        )
        _scale(case.site, case.action, case.action.replicas)
        return {"replicas": before}

    def present(self, case: Case[Scale]) -> Check:
        wanted = case.site.client.get(case.action.kind, case.action.name, case.action.namespace)["spec"].get(
            "replicas", 1
        )
        return Check(wanted == case.action.replicas, f"spec.replicas is {wanted}")

    def symptom(self, case: Case[Scale]) -> Check:
        return _ready(case.site, case.action, case.action.replicas)

    def heal(self, case: Case[Scale]) -> None:
        if "replicas" in case.memory:
            _scale(case.site, case.action, case.memory["replicas"])

    def healed(self, case: Case[Scale]) -> Check:
        return _ready(case.site, case.action, case.memory["replicas"])


class AppliedFile(Fault[Apply]):
    """`apply …`."""

    example = "at 3s: apply policy.yaml"
    does = "creates or changes the objects of a manifest file"
    presence = "the API has each of them"
    effect = "all nodes' flows are current"
    recovery = "with an end, deletes those that it created; they are gone and all nodes' flows are current"
    stay = Stay.STEP

    def check(self, case: Case[Apply]) -> None:
        _objects(case.site, case.action.file)

    def inject(self, case: Case[Apply]) -> Memory:
        done = [(obj, case.site.client.apply(obj)[1]) for obj in _objects(case.site, case.action.file)]
        return {"created": [_place(obj) for obj, what in done if what == "created"]}

    def present(self, case: Case[Apply]) -> Check:
        return _exist(case.site, [_place(obj) for obj in _objects(case.site, case.action.file)], there=True)

    def symptom(self, case: Case[Apply]) -> Check:
        return case.site.realised(2.0)

    def heal(self, case: Case[Apply]) -> None:
        _delete(case.site, case.memory.get("created", ()))

    def healed(self, case: Case[Apply]) -> Check:
        gone = _exist(case.site, case.memory["created"], there=False)
        return case.site.realised(2.0) if gone.holds else gone


class DeletedFile(Fault[Delete]):
    """`delete …`."""

    example = "from 5s to 20s: delete policy.yaml"
    does = "deletes the objects of a manifest file"
    presence = "the API has none of them"
    effect = "all nodes' flows are current"
    recovery = "with an end, creates those again that were there; the API has each and all nodes' flows are current"
    stay = Stay.STEP
    presence_seconds = 40.0

    def check(self, case: Case[Delete]) -> None:
        _objects(case.site, case.action.file)

    def inject(self, case: Case[Delete]) -> Memory:
        places = [_place(obj) for obj in _objects(case.site, case.action.file)]
        there = [place for place in places if _is_there(case.site, *place)]
        _delete(case.site, there)
        return {"deleted": there}

    def present(self, case: Case[Delete]) -> Check:
        return _exist(case.site, [_place(obj) for obj in _objects(case.site, case.action.file)], there=False)

    def symptom(self, case: Case[Delete]) -> Check:
        return case.site.realised(2.0)

    def heal(self, case: Case[Delete]) -> None:
        for obj in _objects(case.site, case.action.file):
            if _place(obj) in case.memory.get("deleted", ()):
                case.site.client.apply(obj)

    def healed(self, case: Case[Delete]) -> Check:
        there = _exist(case.site, case.memory["deleted"], there=True)
        return case.site.realised(2.0) if there.holds else there


def _scale(site: Site, action: Scale, replicas: int) -> None:
    patch = {"spec": {"replicas": replicas}}
    site.client.patch(action.kind, action.name, patch, action.namespace, subresource="scale")


def _ready(site: Site, action: Scale, wanted: int) -> Check:
    status = site.client.get(action.kind, action.name, action.namespace).get("status") or {}
    ready, all_ = status.get("readyReplicas", 0), status.get("replicas", 0)
    return Check(ready == all_ == wanted, f"{ready} of {wanted} replicas are ready")


def _objects(site: Site, file: str) -> list[dict[str, Any]]:
    text = site.files.get(file)
    if text is not None:
        objects = [one.object for one in parse_manifests(text, file)]
    else:
        path = site.folder / file
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file; files are relative to the folder of who names them")
        objects = list(load_manifests(path))
    if not objects:
        raise KubinetError(f"{file}: it holds no object")
    return objects


def _place(obj: dict[str, Any]) -> list[str]:
    """Kind, name and namespace, as a client finds the object again; JSON."""
    metadata = obj["metadata"]
    return [str(obj["kind"]), str(metadata["name"]), str(metadata.get("namespace", "default"))]


def _delete(site: Site, places: Any) -> None:
    for kind, name, namespace in reversed(list(places)):
        try:
            site.client.delete(kind, name, namespace)
        except ApiError as error:
            if error.status != 404:
                raise


def _exist(site: Site, places: Any, *, there: bool) -> Check:
    wrong = [
        f"{kind}/{name}" for kind, name, namespace in places if _is_there(site, kind, name, namespace) is not there
    ]
    word = "missing" if there else "still there"
    return Check(not wrong, f"{word}: {', '.join(wrong)}" if wrong else f"{len(list(places))} objects as wanted")


def _is_there(site: Site, kind: str, name: str, namespace: str) -> bool:
    try:
        site.client.get(kind, name, namespace)
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True
