"""Commands on objects of any kind: get, describe, apply, delete, wait."""

import time
from typing import Annotated

import typer

from kubinet.cli import completing
from kubinet.cli.app import Panel, command
from kubinet.cli.options import (
    AllNamespacesOption,
    ClusterOption,
    FieldSelectorOption,
    FilesOption,
    NamespaceOption,
    RecursiveOption,
    ResourcesArgument,
    SelectorOption,
)
from kubinet.errors import DeadlineError, UsageError

OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FORMAT",
        help="wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,… (default: the server's table).",
    ),
]


@command(
    "get",
    Panel.OBJECTS,
    [
        "kubinet get pods -A -o wide",
        "kubinet get po,svc -n shop -l app=web",
        "kubinet get pod a -o jsonpath='{.status.podIP}'",
        "kubinet get nodes -o custom-columns=NAME:.metadata.name,CIDR:.spec.podCIDR",
    ],
)
def get(
    resources: ResourcesArgument,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    selector: SelectorOption = None,
    field_selector: FieldSelectorOption = None,
    output: OutputOption = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Then show each change until ctrl-C.")] = False,
    watch_only: Annotated[bool, typer.Option("--watch-only", help="Show changes only.")] = False,
    show_labels: Annotated[bool, typer.Option("--show-labels", help="Add a column with all labels.")] = False,
    label_columns: Annotated[
        list[str] | None, typer.Option("--label-columns", "-L", help="Add a column for this label; repeatable.")
    ] = None,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the headers away.")] = False,
    sort_by: Annotated[str | None, typer.Option("--sort-by", metavar="JSONPATH", help="Sort by this field.")] = None,
    ignore_not_found: Annotated[bool, typer.Option("--ignore-not-found", help="No error for what is absent.")] = False,
    show_managed_fields: Annotated[
        bool, typer.Option("--show-managed-fields", help="Keep metadata.managedFields in YAML and JSON.")
    ] = False,
    show_kind: Annotated[bool, typer.Option("--show-kind", help="Print names as KIND/NAME.")] = False,
    cluster: ClusterOption = None,
) -> int:
    """Show objects: one kind or several, all of them or by name."""
    from kubinet.cli import getting, watching
    from kubinet.cli.connection import client_of
    from kubinet.cli.printers import is_table, printer
    from kubinet.cli.selection import Scope, select

    if not is_table(output) and output != "name":
        printer(output or "")  # a wrong format is an error before the first request
    client = client_of(cluster)
    query = getting.Query(
        select(client, resources),
        Scope(namespace, all_namespaces),
        output=output,
        labels=selector,
        fields=field_selector,
        show_labels=show_labels,
        label_columns=tuple(name for word in label_columns or () for name in word.split(",")),
        show_headers=not no_headers,
        sort_by=sort_by,
        ignore_not_found=ignore_not_found,
        show_managed_fields=show_managed_fields,
        show_kind=show_kind,
    )
    if watch or watch_only:
        return watching.watch(client, query, only_changes=watch_only)
    return getting.get(client, query)


@command(
    "describe",
    Panel.OBJECTS,
    ["kubinet describe pod a", "kubinet describe nodes", "kubinet describe netpol -n shop"],
)
def describe(
    resources: ResourcesArgument,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    selector: SelectorOption = None,
    cluster: ClusterOption = None,
) -> int:
    """Show objects in detail, with what belongs to them and their events."""
    from kubinet.cli.connection import client_of
    from kubinet.cli.describing import describe_all
    from kubinet.cli.selection import Scope, select

    client = client_of(cluster)
    return describe_all(client, select(client, resources), Scope(namespace, all_namespaces), selector)


@command(
    "apply",
    Panel.OBJECTS,
    ["kubinet apply -f app.yaml", "kubinet apply -f manifests/ -n shop", "generate | kubinet apply -f -"],
)
def apply(
    filename: FilesOption = None,
    recursive: RecursiveOption = False,
    namespace: NamespaceOption = None,
    dry_run: Annotated[
        str, typer.Option("--dry-run", metavar="none|server", help="server: check and show, but store nothing.")
    ] = "none",
    output: OutputOption = None,
    cluster: ClusterOption = None,
) -> int:
    """Create the objects of manifests, or change those that exist to what the manifests say.

    All files are read and checked first: with an error in one of them nothing is applied. Objects are applied in the
    files' order; one that the API refuses does not stop the others, and the exit status is 1 then.
    """
    from kubinet.cli import writing
    from kubinet.cli.connection import client_of

    if dry_run not in {"none", "server"}:
        raise UsageError(f"--dry-run={dry_run}: write none or server")
    manifests = writing.manifests_of(filename, recursive=recursive)
    return writing.apply(client_of(cluster), manifests, namespace=namespace, dry_run=dry_run == "server", output=output)


@command(
    "delete",
    Panel.OBJECTS,
    ["kubinet delete -f app.yaml", "kubinet delete pod a b", "kubinet delete pods -l app=web --grace-period=0"],
)
def delete(
    resources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND[,KIND] [NAME]... | KIND/NAME...]",
            help="Kinds and names, as for kubectl.",
            autocompletion=completing.resources,
        ),
    ] = None,
    filename: FilesOption = None,
    recursive: RecursiveOption = False,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    selector: SelectorOption = None,
    field_selector: FieldSelectorOption = None,
    every: Annotated[bool, typer.Option("--all", help="All objects of the kind.")] = False,
    grace_period: Annotated[
        int, typer.Option("--grace-period", help="Seconds to end; 0 at once, -1 the object's own.")
    ] = -1,
    now: Annotated[bool, typer.Option("--now", help="Like --grace-period=1.")] = False,
    force: Annotated[bool, typer.Option("--force", help="With --grace-period=0: do not wait for the node.")] = False,
    cascade: Annotated[
        str, typer.Option("--cascade", metavar="background|foreground|orphan", help="What happens to owned objects.")
    ] = "background",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when the objects are gone.")] = True,
    timeout: Annotated[str, typer.Option("--timeout", help="How long to wait; 0 for no limit.")] = "0",
    ignore_not_found: Annotated[bool, typer.Option("--ignore-not-found", help="No error for what is absent.")] = False,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="name", help="name: names only.")] = None,
    cluster: ClusterOption = None,
) -> int:
    """Delete objects by name, selector or manifest, and wait until they are gone."""
    from kubinet.cli import durations, writing
    from kubinet.cli.connection import client_of
    from kubinet.cli.selection import Scope, select

    if bool(resources) == bool(filename):
        raise UsageError("say what to delete: either KIND NAME... or -f FILE")
    if output not in (None, "name"):
        raise UsageError(f"-o {output}: delete prints names only; use -o name")
    cascades: dict[str, writing.Cascade] = {
        "background": "Background",
        "foreground": "Foreground",
        "orphan": "Orphan",
    }
    if cascade not in cascades:
        raise UsageError(f"--cascade={cascade}: write background, foreground or orphan")
    limit = durations.seconds(timeout, "--timeout")
    deletion = writing.Deletion(
        grace_period=1 if now else grace_period if grace_period >= 0 else 0 if force else None,
        cascade=cascades[cascade],
        wait=wait,
        timeout=limit or None,
        ignore_not_found=ignore_not_found or every,
        only_names=output == "name",
        force=force,
    )
    if filename:
        manifests = writing.manifests_of(filename, recursive=recursive)
        client = client_of(cluster)
        targets = list(writing.targets_of_manifests(client, manifests, namespace))
    else:
        client = client_of(cluster)
        scope = Scope(namespace, all_namespaces)
        selected = select(client, resources or [])
        targets = list(
            writing.targets_of_selection(client, selected, scope, every=every, labels=selector, fields=field_selector)
        )
        if not targets:
            where = scope.text(selected[0].resource)
            typer.echo(f"No resources found{where}{'.' if where else ''}", err=True)
    return writing.delete(client, targets, deletion)


@command(
    "wait",
    Panel.OBJECTS,
    [
        "kubinet wait --for=condition=Ready pod --all --timeout=60s",
        "kubinet wait --for=jsonpath='{.status.phase}'=Running pod/a",
        "kubinet wait --for=delete pod/a",
    ],
)
def wait(
    resources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND [NAME]... | KIND/NAME...]",
            help="Kinds and names, as for kubectl.",
            autocompletion=completing.resources,
        ),
    ] = None,
    condition: Annotated[
        str,
        typer.Option("--for", metavar="CONDITION", help="condition=NAME, delete, create or jsonpath='{PATH}'=VALUE."),
    ] = "condition=Ready",
    timeout: Annotated[str, typer.Option("--timeout", help="How long, such as 30s; 0 looks once.")] = "30s",
    filename: FilesOption = None,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    selector: SelectorOption = None,
    field_selector: FieldSelectorOption = None,
    every: Annotated[bool, typer.Option("--all", help="All objects of the kind.")] = False,
    cluster: ClusterOption = None,
) -> int:
    """Return when a condition of objects holds; exit status 1 when it does not in time."""
    from kubinet.cli import durations, waiting, writing
    from kubinet.cli.connection import client_of
    from kubinet.cli.printers import name_of
    from kubinet.cli.selection import Scope, select

    wanted = waiting.parse_condition(condition)
    deadline = time.monotonic() + durations.seconds(timeout, "--timeout")
    if bool(resources) == bool(filename):
        raise UsageError("say what to wait for: either KIND NAME... or -f FILE")
    client = client_of(cluster)
    if filename:
        manifests = writing.manifests_of(filename, recursive=False)
        targets = list(writing.targets_of_manifests(client, manifests, namespace))
    else:
        selected = select(client, resources or [])
        targets = list(
            writing.targets_of_selection(
                client,
                selected,
                Scope(namespace, all_namespaces),
                every=every,
                labels=selector,
                fields=field_selector,
            )
        )
    if not targets and condition != "delete":
        raise UsageError("no matching resources found; names, -l and -n choose them")
    for target in targets:
        done, last = waiting.wait_for(client, target, wanted.holds, deadline)
        name = name_of(target.resource, target.name)
        if not done:
            raise DeadlineError(f"timed out waiting for {condition} on {name} after {timeout}; {wanted.seen(last)}")
        typer.echo(f"{name} condition met")
    return 0
