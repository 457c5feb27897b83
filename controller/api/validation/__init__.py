"""Rules beyond the schema, with upstream's messages: each function returns every broken rule as a `Cause`."""

from controller.api.validation.clusterpolicies import (
    cluster_policy,
    cluster_policy_defaults,
    cluster_policy_status,
    cluster_policy_warnings,
)
from controller.api.validation.endpoints import (
    endpoint_slice,
    endpoint_slice_warnings,
    endpoints,
    endpoints_warnings,
)
from controller.api.validation.names import label, metadata, rfc1035_label, subdomain
from controller.api.validation.networkpolicies import network_policy, network_policy_warnings
from controller.api.validation.others import config_map, node, secret
from controller.api.validation.pods import pod
from controller.api.validation.services import service, service_status
from controller.api.validation.servicewarnings import service_warnings
from controller.api.validation.workloads import daemon_set, deployment, job, replica_set, stateful_set

__all__ = [
    "cluster_policy",
    "cluster_policy_defaults",
    "cluster_policy_status",
    "cluster_policy_warnings",
    "config_map",
    "daemon_set",
    "deployment",
    "endpoint_slice",
    "endpoint_slice_warnings",
    "endpoints",
    "endpoints_warnings",
    "job",
    "label",
    "metadata",
    "network_policy",
    "network_policy_warnings",
    "node",
    "pod",
    "replica_set",
    "rfc1035_label",
    "secret",
    "service",
    "service_status",
    "service_warnings",
    "stateful_set",
    "subdomain",
]
