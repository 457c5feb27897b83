"""Which cluster a command talks to."""

import os
from typing import TYPE_CHECKING

import typer

from kubinet.errors import UsageError

if TYPE_CHECKING:
    from kubinet.client import Client
    from kubinet.cluster import Cluster


def client_of(cluster: str | None) -> "Client":
    """The API client of the named cluster, or of the only one that runs.

    KUBINET_API and KUBINET_TOKEN name an API server without a cluster around it (`python -m controller.api.server`).
    """
    url = os.environ.get("KUBINET_API")
    if url and cluster is None:
        from kubinet.client import Client

        return Client(url, os.environ.get("KUBINET_TOKEN", ""))
    return cluster_of(cluster).client


def cluster_of(name: str | None) -> "Cluster":
    """The named cluster, or the only one that runs; UsageError says which there are."""
    from kubinet.cluster import Cluster

    cluster = Cluster.connect(name if name is not None else _only_name())
    cluster.client.on_warning = lambda text: typer.echo(f"Warning: {text}", err=True)
    return cluster


def _only_name() -> str:
    from kubinet import launcher

    names = sorted(info.name for info in launcher.list_clusters() if info.alive)
    if not names:
        raise UsageError("no cluster runs; `kubinet up` starts one")
    if len(names) > 1:
        raise UsageError(f"several clusters run ({', '.join(names)}); choose one with --cluster or KUBINET_CLUSTER")
    return names[0]
