"""Commands on the data plane: flows, and the nodes' agents."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from kubinet.cli.app import Panel, command, group, into
from kubinet.cli.options import ClusterOption, Facts, FactsOption, NodeArgument
from kubinet.errors import KubinetError
from kubinet.state import ServiceProxy

_IN_KERNEL = (
    "with `services: nftables` they are rules of the node's kernel: `echo {node} nft list ruleset | kubinet cli`."
)


class Bridge(StrEnum):
    """A node's bridges."""

    INTEGRATION = "br-int"
    UPLINK = "br-phy"


@command(
    "flows",
    Panel.NETWORK,
    ["kubinet flows n1", "kubinet flows n1 --table SpoofGuard", "kubinet flows n2 --owner Pod/default/web-1 -o json"],
)
def flows(
    node: NodeArgument,
    table: Annotated[str | None, typer.Option("--table", metavar="NAME|NUMBER", help="Only this table.")] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="KIND/NS/NAME", help="Only what this object made.")
    ] = None,
    bridge: Annotated[Bridge, typer.Option("--bridge", help="Which of the node's bridges.")] = Bridge.INTEGRATION,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> None:
    """Show the flows of a node's bridge: table names, packets so far, and the object that each flow came from."""
    from dataclasses import asdict

    from controller.compile import owners
    from controller.flow_view import chosen, parse_dump
    from kubinet.cli.clusterview import state_of
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.printers import to_json
    from kubinet.cli.table import text_table

    found = cluster_of(cluster)
    found.node(node)  # an unknown name is an error that lists the nodes
    socket = f"unix:/run/kubinet/nodes/{node}/{bridge}.mgmt"
    text = found.run(["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", socket]).text
    state = state_of(found.client)
    rows = parse_dump(text, bridge=bridge, owners=owners(state))
    if table is not None:
        rows = chosen(rows, table, bridge=bridge)
    if owner is not None:
        rows = [row for row in rows if owner.lower() in row.owner.lower().split(", ")]
    if output is Facts.JSON:
        typer.echo(to_json([asdict(row) for row in rows]), nl=False)
        return
    cells = [
        (
            f"{row.number} {row.table}",
            str(row.priority),
            str(row.packets),
            row.owner or "-",
            row.match or "*",
            row.actions,
        )
        for row in rows
    ]
    typer.echo(text_table(("TABLE", "PRIORITY", "PACKETS", "OWNER", "MATCH", "ACTIONS"), cells), nl=False)
    if owner is not None and not rows:
        why = "an owner is KIND/NS/NAME."
        if owner.lower().startswith("service/") and state.network.services is ServiceProxy.NFTABLES:
            why = _IN_KERNEL.format(node=node)
        typer.echo(f"No flow of {bridge} on {node} comes from {owner!r}; {why}", err=True)


@command("groups", Panel.NETWORK, ["kubinet groups n1", "kubinet groups n2 --service shop/web -o json"])
def groups(
    node: NodeArgument,
    service: Annotated[str | None, typer.Option("--service", metavar="NS/NAME", help="Only this Service's.")] = None,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> None:
    """Show the groups of a node's br-int: how Services choose their endpoints, and how often each was chosen."""
    from dataclasses import asdict

    from controller.group_view import group_names, parse_groups
    from kubinet.cli.clusterview import state_of
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.printers import to_json
    from kubinet.cli.table import text_table

    found = cluster_of(cluster)
    found.node(node)  # an unknown name is an error that lists the nodes
    words = ["ovs-ofctl", "-O", "OpenFlow15"]
    socket = f"unix:/run/kubinet/nodes/{node}/br-int.mgmt"
    dump, counters = (found.run([*words, f"dump-{what}", socket]).text for what in ("groups", "group-stats"))
    state = state_of(found.client)
    rows = parse_groups(dump, counters, group_names(state.services.values()))
    chosen = [row for row in rows if service is None or row.service == f"Service/{service}"]
    if output is Facts.JSON:
        typer.echo(to_json([asdict(row) for row in chosen]), nl=False)
        return
    cells = [
        (row.service or "-", row.port, row.selection, choice.endpoint, str(choice.weight), str(choice.packets))
        for row in chosen
        for choice in row.choices
    ]
    typer.echo(text_table(("SERVICE", "PORT", "SELECTION", "ENDPOINT", "WEIGHT", "CONNECTIONS"), cells), nl=False)
    if not chosen and state.network.services is ServiceProxy.NFTABLES:
        typer.echo(f"No groups of Services on {node}; {_IN_KERNEL.format(node=node)}", err=True)
    elif service is not None and not chosen:
        typer.echo(
            f"No groups of Service {service!r} (NS/NAME) on {node}: one endpoint, maglev, round-robin, large ones need "
            f"none; `kubinet flows {node} --owner Service/{service}` shows what there is.",
            err=True,
        )


agent = group("agent", Panel.NETWORK, "The nodes' agents: stop and start one as if its process had died.")


@into(agent, ("agent", "ls"), ["kubinet agent ls"])
def ls(output: FactsOption = Facts.TABLE, cluster: ClusterOption = None) -> None:
    """List the agents and whether each runs."""
    from kubinet.cli.printers import to_json

    answer = _ask(cluster, {"command": "list"})
    if output is Facts.JSON:
        typer.echo(to_json(answer), nl=False)
        return
    for name, state in sorted(answer.get("agents", answer).items()):
        typer.echo(f"{name}\t{state}")


@into(agent, ("agent", "stop"), ["kubinet agent stop n2"])
def stop(node: NodeArgument, cluster: ClusterOption = None) -> None:
    """Stop a node's agent: its pods run on, changes wait."""
    _ask(cluster, {"command": "stop", "node": node}, node)
    typer.echo(f"agent of {node} stopped")


@into(agent, ("agent", "start"), ["kubinet agent start n2"])
def start(node: NodeArgument, cluster: ClusterOption = None) -> None:
    """Start a node's agent again: it finds its pods and goes on."""
    _ask(cluster, {"command": "start", "node": node}, node)
    typer.echo(f"agent of {node} started")


def _ask(cluster: str | None, request: dict[str, str], node: str | None = None) -> dict[str, Any]:
    import json
    import sys

    from kubinet.cli.connection import cluster_of

    # The socket is inside the sandbox; a short program there passes one line each way.
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/kubinet/agents.sock'); "
        "s.sendall(sys.argv[1].encode() + b'\\n'); print(s.makefile().readline())"
    )
    running = cluster_of(cluster)
    if node is not None:
        running.node(node)  # UsageError for one that is not there
    answer: dict[str, Any] = json.loads(running.run([sys.executable, "-c", program, json.dumps(request)]).text)
    if "error" in answer:
        raise KubinetError(str(answer["error"]))
    return answer
