"""Rules beyond the schema, with upstream's messages: each function returns every broken rule as a `Cause`."""

from controller.api.validation.names import label, metadata, rfc1035_label, subdomain
from controller.api.validation.networkpolicies import network_policy
from controller.api.validation.others import config_map, node, secret
from controller.api.validation.pods import pod
from controller.api.validation.services import service
from controller.api.validation.workloads import daemon_set, deployment, job, replica_set, stateful_set

__all__ = [
    "config_map",
    "daemon_set",
    "deployment",
    "job",
    "label",
    "metadata",
    "network_policy",
    "node",
    "pod",
    "replica_set",
    "rfc1035_label",
    "secret",
    "service",
    "stateful_set",
    "subdomain",
]
