"""Commands on denied packets: policy log, policy counters."""

from typing import Annotated

import typer

from kubinet.cli.app import into
from kubinet.cli.commands.policy import policy
from kubinet.cli.options import ClusterOption, Facts, FactsOption


@into(policy, ("policy", "log"), ["kubinet policy log -f", "kubinet policy log --seconds 10 -n shop -o json"])
def log(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Log and print until ctrl-C.")] = False,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.0, help="Log and print for so long.")] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", metavar="NS", help="Only packets from or to pods of it.")
    ] = None,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> None:
    """Print packets that policies deny: when, between whom, which policy and rule.

    They are logged only while somebody asks for it: -f or --seconds switch the log on, and it ends with the command.
    Without them, what was logged before is printed. Packets of one connection within a second are one line. Each node
    tells of at most 100 packets a second; `kubinet policy counters` counts all of them.
    """
    from kubinet.cli import policylogging as logging
    from kubinet.cli.connection import cluster_of

    found, lines = cluster_of(cluster), logging.Lines(as_json=output is Facts.JSON)

    def started() -> None:
        typer.echo("Denied packets are logged on all nodes; ctrl-C ends it." if follow else "Logging.", err=True)

    if follow or seconds is not None:
        batches = logging.follow(found, seconds, started)
    else:
        batches = iter([logging.recorded(found.info.state_dir)])
    for batch in batches:
        lines.print(entry for entry in batch if namespace is None or logging.concerns(entry, namespace))


@into(policy, ("policy", "counters"), ["kubinet policy counters", "kubinet policy counters --all -o json"])
def counters(
    everything: Annotated[bool, typer.Option("--all", help="Also what has denied nothing so far.")] = False,
    output: FactsOption = Facts.TABLE,
    cluster: ClusterOption = None,
) -> None:
    """Count the packets that each policy has denied, by direction and rule, over all nodes.

    The counters are those of the flows that deny: they begin with the flow, so they start anew when the policy or all
    pods that it isolates on a node are replaced.
    """
    from dataclasses import asdict

    from controller.compile import Compiler, owners
    from controller.flow_view import parse_dump
    from controller.policy.denied import denied
    from kubinet.cli.clusterview import state_of
    from kubinet.cli.connection import cluster_of
    from kubinet.cli.printers import to_json
    from kubinet.cli.table import text_table

    found = cluster_of(cluster)
    state = state_of(found.client)
    compiler, names = Compiler(), owners(state)
    compiler.compile(state)
    dump = ["ovs-ofctl", "-O", "OpenFlow15", "dump-flows"]
    rows = {
        node: parse_dump(found.run([*dump, f"unix:/run/kubinet/nodes/{node}/br-int.mgmt"]).text, owners=names)
        for node in sorted(state.nodes)
    }
    counted = [one for one in denied(rows, compiler.deciders()) if one.packets or everything]
    if output is Facts.JSON:
        typer.echo(to_json([asdict(one) for one in counted]), nl=False)
        return
    cells = [
        (", ".join(one.policies), str(one.direction), one.rule, str(one.packets), str(one.bytes), ", ".join(one.nodes))
        for one in counted
    ]
    typer.echo(text_table(("DENIED BY", "DIRECTION", "RULE", "PACKETS", "BYTES", "NODES"), cells), nl=False)
    if not counted:
        typer.echo("No policy has denied a packet yet.", err=True)
