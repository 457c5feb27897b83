"""Options and arguments that several commands share: one wording each."""

from enum import StrEnum
from typing import Annotated

import typer

from kubinet.cli import completing


class Facts(StrEnum):
    """How a command prints facts."""

    TABLE = "table"
    JSON = "json"


ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        envvar="KUBINET_CLUSTER",
        help="The cluster; not needed when only one runs.",
        autocompletion=completing.clusters,
    ),
]
FactsOption = Annotated[
    Facts, typer.Option("--output", "-o", metavar="table|json", help="A table to read, or JSON for programs.")
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        help="The namespace.  \\[default: default]",
        show_default=False,
        autocompletion=completing.namespaces,
    ),
]
AllNamespacesOption = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
SelectorOption = Annotated[
    str | None,
    typer.Option("--selector", "-l", help="Label selector, such as 'app=web,tier in (a,b),!old'."),
]
FieldSelectorOption = Annotated[
    str | None, typer.Option("--field-selector", help="Field selector, such as 'spec.nodeName=n1'.")
]
ContainerOption = Annotated[
    str | None, typer.Option("--container", "-c", help="The container; otherwise the pod's first.")
]
FilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filename", "-f", metavar="FILE", help="Manifest file, folder, or - for standard input; repeatable."
    ),
]
RecursiveOption = Annotated[bool, typer.Option("--recursive", "-R", help="Read folders of a folder too.")]

ResourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="KIND[,KIND] [NAME]... | KIND/NAME...",
        help="Kinds and names, as for kubectl.",
        autocompletion=completing.resources,
    ),
]
NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="A node's name.", autocompletion=completing.nodes)]
