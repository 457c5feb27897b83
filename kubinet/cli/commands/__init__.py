"""The commands, one module per group; importing this registers them all, in the order of `kubinet --help`."""

from kubinet.cli.app import app
from kubinet.cli.commands import (  # isort: skip - the order is that of the help
    clusters as clusters,
    objects as objects,
    pods as pods,
    server as server,
    experiments as experiments,
    other as other,
)

__all__ = ["app"]
