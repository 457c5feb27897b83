"""`kubinet doctor`: the capabilities of this machine as a table or JSON."""

from dataclasses import asdict

from rich.table import Table

from kubinet.cli.options import Facts
from kubinet.cli.printers import to_json
from kubinet.cli.terminal import results


def show(output: Facts) -> int:
    """Print the capabilities; 1 when one is missing that nothing replaces."""
    from topologies.capabilities import examine

    found = examine()
    fatal = [one for one in found if not one.present and one.needed]
    if output is Facts.JSON:
        print(to_json({"ok": not fatal, "capabilities": [asdict(one) for one in found]}), end="")
        return int(bool(fatal))
    table = Table("", "capability", "found", "what it means", box=None, header_style="bold", pad_edge=False)
    for one in found:
        mark = "[green]yes[/green]" if one.present else "[red]no[/red]" if one.needed else "[yellow]no[/yellow]"
        meaning = one.consequence if one.present else ". ".join(t for t in (one.consequence, one.remedy) if t)
        table.add_row(mark, one.name, one.detail, meaning)
    console = results()
    console.print(table)
    if fatal:
        console.print(f"[red]Missing without a replacement: {', '.join(one.name for one in fatal)}[/red]")
    else:
        console.print("[green]This machine can run clusters.[/green]")
    return int(bool(fatal))
