"""The kinds that the API serves, as data: to serve another kind, add its lines to `KINDS`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from controller.api import columns, crds, defaults, servicefields, validation, workloadcolumns, workloaddefaults
from controller.api.columns import GENERIC, Column
from controller.api.status import Cause, Object


class StatusPart(Enum):
    """How a kind's status is written."""

    NONE = "none"
    """No status subresource."""
    SEPARATE = "separate"
    """Only through `/status`; creating drops it."""
    KEPT_ON_CREATE = "kept-on-create"
    """As SEPARATE, but creating keeps it (Node: agents register with status)."""
    SHARED = "shared"
    """Through `/status` and through the object itself (Kubinet's own kinds)."""


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object with a path of its own, beside `status`."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its names, how it is prepared, checked and printed."""

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: StatusPart = StatusPart.NONE
    subresources: tuple[Subresource, ...] = ()
    schema: str = ""
    """Its definition in upstream's schemas; empty: free-form beside apiVersion, kind and metadata."""
    custom: bool = False
    """Upstream defines it by a CRD: no strategic merge patch, wrong types are causes of a 422."""
    generation: bool = False
    """metadata.generation counts changes outside metadata and status."""
    graceful: bool = False
    """Deletion waits for the agent (terminationGracePeriodSeconds)."""
    columns: tuple[Column, ...] = GENERIC
    selectable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default: Callable[[Object], None] | None = None
    """Fills in a new version in place, as upstream's defaulting does."""
    adopt: Callable[[Object, Object], None] | None = None
    """Carries into a new version, in place, what clients may leave out of it: (new, old)."""
    validate: Callable[[Object, Object | None], list[Cause]] | None = None
    """Rules beyond the schema: (new, old or None) -> causes."""
    validate_status: Callable[[Object], list[Cause]] | None = None
    """Rules of the status, for writes through `/status`."""
    name_rule: Callable[[str], str] = validation.subdomain
    """Why a name is wrong, or an empty string."""
    warn: Callable[[Object], list[str]] | None = None
    """What in a written version has no effect: answered as `Warning: 299` headers."""
    verbs: tuple[str, ...] = VERBS
    """What discovery names; a kind with `create` alone is a question that is answered and not stored."""

    @property
    def key(self) -> str:
        """`plural.group` (`pods`, `networkpolicies.networking.k8s.io`): the store's key."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def group_version(self) -> str:
        """The apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """The lower-case kind."""
        return self.kind.lower()

    @property
    def has_status(self) -> bool:
        """Whether `/status` exists."""
        return self.status is not StatusPart.NONE


_STREAM = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")
_POD_SUBRESOURCES = (
    Subresource("attach", "PodAttachOptions", _STREAM),
    Subresource("binding", "Binding", ("create",)),
    Subresource("eviction", "Eviction", ("create",), "policy", "v1"),
    Subresource("exec", "PodExecOptions", _STREAM),
    Subresource("log", "Pod", ("get",)),
    Subresource("portforward", "PodPortForwardOptions", _STREAM),
    Subresource("proxy", "PodProxyOptions", _PROXY),
)
_SCALE = (Subresource("scale", "Scale", ("get", "patch", "update"), "autoscaling", "v1"),)
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT_FIELDS = {f"involvedObject.{name}": ("involvedObject", name) for name in _INVOLVED} | {
    "reason": ("reason",),
    "type": ("type",),
    "reportingComponent": ("reportingComponent",),
    "source": ("source", "component"),
}


def _review(group: str, kind: str) -> Kind:
    schema = f"io.k8s.api.{group.partition('.')[0]}.v1.{kind}"
    return Kind(kind, f"{kind.lower()}s", group, namespaced=False, schema=schema, verbs=("create",))


def _cluster_policy(name: str) -> Kind:
    told = crds.custom_definitions()[name]
    return Kind(
        told.kind, told.plural, told.group, told.version, told.namespaced, told.short_names,
        status=StatusPart.SEPARATE if told.has_status else StatusPart.NONE, schema=told.definition, custom=True,
        generation=True, columns=told.columns, default=validation.cluster_policy_defaults,
        validate=validation.cluster_policy, validate_status=validation.cluster_policy_status,
        warn=validation.cluster_policy_warnings,
    )  # fmt: skip


KINDS: Final = (
    Kind(
        "Namespace", "namespaces", namespaced=False, short_names=("ns",), status=StatusPart.SEPARATE,
        subresources=(Subresource("finalize", "Namespace", ("update",)),), schema="io.k8s.api.core.v1.Namespace",
        columns=columns.NAMESPACE, selectable={"status.phase": ("status", "phase")},
        default=defaults.namespace, name_rule=validation.label,
    ),
    Kind(
        "Node", "nodes", namespaced=False, short_names=("no",), status=StatusPart.KEPT_ON_CREATE,
        schema="io.k8s.api.core.v1.Node", columns=columns.NODE,
        selectable={"spec.unschedulable": ("spec", "unschedulable")},
        default=defaults.node, validate=validation.node,
    ),
    Kind(
        "Pod", "pods", short_names=("po",), categories=("all",), status=StatusPart.SEPARATE,
        subresources=_POD_SUBRESOURCES, schema="io.k8s.api.core.v1.Pod", graceful=True, columns=columns.POD,
        selectable={
            path: tuple(path.split("."))
            for path in (
                "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
                "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
            )
        },
        default=defaults.pod, validate=validation.pod,
    ),
    Kind(
        "Service", "services", short_names=("svc",), categories=("all",), status=StatusPart.SEPARATE,
        subresources=(Subresource("proxy", "ServiceProxyOptions", _PROXY),),
        schema="io.k8s.api.core.v1.Service", columns=columns.SERVICE,
        selectable={"spec.clusterIP": ("spec", "clusterIP"), "spec.type": ("spec", "type")},
        default=defaults.service, adopt=servicefields.adopt, validate=validation.service,
        validate_status=validation.service_status, name_rule=validation.rfc1035_label,
        warn=validation.service_warnings,
    ),
    Kind(
        "Endpoints", "endpoints", short_names=("ep",), schema="io.k8s.api.core.v1.Endpoints",
        columns=columns.ENDPOINTS, default=defaults.endpoints, validate=validation.endpoints,
        warn=validation.endpoints_warnings,
    ),
    Kind(
        "EndpointSlice", "endpointslices", "discovery.k8s.io", schema="io.k8s.api.discovery.v1.EndpointSlice",
        generation=True, columns=columns.ENDPOINT_SLICE, default=defaults.endpoint_slice,
        validate=validation.endpoint_slice, warn=validation.endpoint_slice_warnings,
    ),
    Kind(
        "ConfigMap", "configmaps", short_names=("cm",), schema="io.k8s.api.core.v1.ConfigMap",
        columns=columns.CONFIG_MAP, validate=validation.config_map,
    ),
    Kind(
        "Secret", "secrets", schema="io.k8s.api.core.v1.Secret", columns=columns.SECRET,
        selectable={"type": ("type",)}, default=defaults.secret, validate=validation.secret,
    ),
    Kind(
        "ServiceAccount", "serviceaccounts", short_names=("sa",), schema="io.k8s.api.core.v1.ServiceAccount",
        subresources=(Subresource("token", "TokenRequest", ("create",), "authentication.k8s.io", "v1"),),
        columns=columns.SERVICE_ACCOUNT,
    ),
    Kind(
        "Event", "events", short_names=("ev",), schema="io.k8s.api.core.v1.Event", columns=columns.EVENT,
        selectable=_EVENT_FIELDS, default=defaults.event,
    ),
    Kind(
        "NetworkPolicy", "networkpolicies", "networking.k8s.io", short_names=("netpol",),
        schema="io.k8s.api.networking.v1.NetworkPolicy", generation=True, columns=columns.NETWORK_POLICY,
        default=defaults.network_policy, validate=validation.network_policy, warn=validation.network_policy_warnings,
    ),
    *(_cluster_policy(kind) for kind in ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy")),
    Kind(
        "Lease", "leases", "coordination.k8s.io", schema="io.k8s.api.coordination.v1.Lease", columns=columns.LEASE,
    ),
    Kind(
        "Deployment", "deployments", "apps", short_names=("deploy",), categories=("all",), status=StatusPart.SEPARATE,
        subresources=_SCALE, schema="io.k8s.api.apps.v1.Deployment", generation=True,
        columns=workloadcolumns.DEPLOYMENT, default=workloaddefaults.deployment, validate=validation.deployment,
    ),
    Kind(
        "ReplicaSet", "replicasets", "apps", short_names=("rs",), categories=("all",), status=StatusPart.SEPARATE,
        subresources=_SCALE, schema="io.k8s.api.apps.v1.ReplicaSet", generation=True,
        columns=workloadcolumns.REPLICA_SET, selectable={"status.replicas": ("status", "replicas")},
        default=workloaddefaults.replica_set, validate=validation.replica_set,
    ),
    Kind(
        "DaemonSet", "daemonsets", "apps", short_names=("ds",), categories=("all",), status=StatusPart.SEPARATE,
        schema="io.k8s.api.apps.v1.DaemonSet", generation=True, columns=workloadcolumns.DAEMON_SET,
        default=workloaddefaults.daemon_set, validate=validation.daemon_set,
    ),
    Kind(
        "StatefulSet", "statefulsets", "apps", short_names=("sts",), categories=("all",), status=StatusPart.SEPARATE,
        subresources=_SCALE, schema="io.k8s.api.apps.v1.StatefulSet", generation=True,
        columns=workloadcolumns.STATEFUL_SET, default=workloaddefaults.stateful_set, validate=validation.stateful_set,
    ),
    Kind(
        "ControllerRevision", "controllerrevisions", "apps", schema="io.k8s.api.apps.v1.ControllerRevision",
        columns=workloadcolumns.CONTROLLER_REVISION,
    ),
    Kind(
        "Job", "jobs", "batch", categories=("all",), status=StatusPart.SEPARATE, schema="io.k8s.api.batch.v1.Job",
        generation=True, columns=workloadcolumns.JOB, default=workloaddefaults.job, validate=validation.job,
    ),
    Kind("Topology", "topologies", "kubinet.dev", namespaced=False, status=StatusPart.SHARED, generation=True),
    Kind(
        "Dataplane", "dataplanes", "kubinet.dev", namespaced=False, status=StatusPart.SHARED, generation=True,
        columns=columns.DATAPLANE,
    ),
    Kind(
        "ConnectionCount", "connectioncounts", "kubinet.dev", namespaced=False, status=StatusPart.SHARED,
        columns=columns.CONNECTION_COUNT,
    ),
    *(_review("authentication.k8s.io", name) for name in ("SelfSubjectReview", "TokenReview")),
    *(
        _review("authorization.k8s.io", name)
        for name in ("SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview")
    ),
)  # fmt: skip

POD: Final = next(kind for kind in KINDS if kind.kind == "Pod")
NODE: Final = next(kind for kind in KINDS if kind.kind == "Node")
NAMESPACE: Final = next(kind for kind in KINDS if kind.kind == "Namespace")
CONFIG_MAP: Final = next(kind for kind in KINDS if kind.kind == "ConfigMap")
SERVICE_ACCOUNT: Final = next(kind for kind in KINDS if kind.kind == "ServiceAccount")
EVENT: Final = next(kind for kind in KINDS if kind.kind == "Event")
SERVICE: Final = next(kind for kind in KINDS if kind.kind == "Service")
ENDPOINTS: Final = next(kind for kind in KINDS if kind.kind == "Endpoints")
ENDPOINT_SLICE: Final = next(kind for kind in KINDS if kind.kind == "EndpointSlice")
TOPOLOGY: Final = next(kind for kind in KINDS if kind.kind == "Topology")
DEPLOYMENT: Final = next(kind for kind in KINDS if kind.kind == "Deployment")
DAEMON_SET: Final = next(kind for kind in KINDS if kind.kind == "DaemonSet")
STATEFUL_SET: Final = next(kind for kind in KINDS if kind.kind == "StatefulSet")
CONTROLLER_REVISION: Final = next(kind for kind in KINDS if kind.kind == "ControllerRevision")
JOB: Final = next(kind for kind in KINDS if kind.kind == "Job")
REPLICA_SET: Final = next(kind for kind in KINDS if kind.kind == "ReplicaSet")
SCALE: Final = Kind(
    "Scale", "scales", "autoscaling", schema="io.k8s.api.autoscaling.v1.Scale", columns=workloadcolumns.SCALE
)
"""The form of `/scale`; it has no collection of its own."""

_BY_PATH: Final = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
_BY_KEY: Final = {kind.key: kind for kind in KINDS}
_BY_GVK: Final = {(kind.group_version, kind.kind): kind for kind in KINDS}


def by_path(group: str, version: str, plural: str) -> Kind | None:
    """The kind served at a path."""
    return _BY_PATH.get((group, version, plural))


def by_key(key: str) -> Kind | None:
    """The kind of a store key; None for objects of a kind that is no longer served."""
    return _BY_KEY.get(key)


def by_api_version(api_version: str, kind: str) -> Kind | None:
    """The kind of an apiVersion and kind pair, e.g. of an owner reference."""
    return _BY_GVK.get((api_version, kind))


def group_versions() -> dict[tuple[str, str], list[Kind]]:
    """Kinds by (group, version), the core group first; of a group's versions the one to prefer first."""
    found: dict[tuple[str, str], list[Kind]] = {}
    for kind in KINDS:
        found.setdefault((kind.group, kind.version), []).append(kind)
    return dict(sorted(found.items(), key=lambda entry: (entry[0][0], _precedence(entry[0][1]))))


def _precedence(version: str) -> tuple[int, ...]:
    """Stable before beta before alpha, higher numbers first (apimachinery's version priority)."""
    major, stage, minor = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version).groups()  # type: ignore[union-attr]
    return (("beta", "alpha").index(stage) + 1 if stage else 0, -int(major), -int(minor or 0))
