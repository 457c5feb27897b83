"""Kubinet: a whole Kubernetes cluster's network on one machine, in seconds, with real packets and no root.

>>> import kubinet
>>> with kubinet.Cluster("leaf-spine", nodes=4) as cluster:   # doctest: +SKIP
...     cluster.apply("examples/echo.yaml")
"""

from typing import TYPE_CHECKING

from kubinet.version import __version__

if TYPE_CHECKING:
    from kubinet.cluster import Cluster

__all__ = ["Cluster", "__version__"]


def __getattr__(name: str) -> object:
    """Load the client side on first use: `import kubinet` itself must stay quick for every service."""
    if name == "Cluster":
        from kubinet.cluster import Cluster  # noqa: PLC0415

        return Cluster
    raise AttributeError(f"module 'kubinet' has no attribute {name!r}")
