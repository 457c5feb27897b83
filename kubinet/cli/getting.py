"""`kubinet get`: one request per kind and name, printed as the server's own columns or as objects."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from kubinet.cli import jsonpath
from kubinet.cli.printers import Printer, is_table, items_of, list_of, name_of, printer
from kubinet.cli.selection import Scope, Selected
from kubinet.cli.table import TablePrinter
from kubinet.errors import ApiError, UsageError

if TYPE_CHECKING:
    from kubinet.client import Client, Resource

Object: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """What to get and how to print it."""

    selected: Sequence[Selected]
    scope: Scope
    output: str | None = None
    labels: str | None = None
    fields: str | None = None
    show_labels: bool = False
    label_columns: tuple[str, ...] = ()
    show_headers: bool = True
    sort_by: str | None = None
    ignore_not_found: bool = False
    show_managed_fields: bool = False
    show_kind: bool = False

    def check(self) -> None:
        """UsageError for options that exclude each other."""
        named = any(one.names for one in self.selected)
        if named and (self.labels or self.fields):
            raise UsageError("names and selectors exclude each other; give either names or -l / --field-selector")
        if named and self.scope.everywhere and any(one.resource.namespaced for one in self.selected):
            raise UsageError("an object is not found by name in all namespaces; name its namespace with -n")

    def parameters(self) -> dict[str, str]:
        """The request's query."""
        pairs = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {key: value for key, value in pairs.items() if value}


@dataclass(slots=True)
class Outcome:
    """What a run of requests found wrong; the others were printed all the same."""

    errors: list[ApiError] = field(default_factory=list)

    def report(self) -> int:
        """Print the errors to standard error; the exit status."""
        for error in self.errors:
            print(f"Error: {error}", file=sys.stderr)
        return 1 if self.errors else 0


def get(client: "Client", query: Query) -> int:
    """Print what the query finds; the exit status."""
    query.check()
    return _get_tables(client, query) if is_table(query.output) else _get_objects(client, query)


def fetch(
    client: "Client", query: Query, options: Mapping[str, Any], outcome: Outcome
) -> Iterator[tuple[Selected, Any]]:
    """The answers (Tables or objects) for each kind and name; refusals go to `outcome`."""
    for one in query.selected:
        where = query.scope.of(one.resource)
        for name in one.names or (None,):
            try:
                yield one, client.raw("GET", one.resource.path(where, name), **options).json()
            except ApiError as error:
                if not (error.status == 404 and query.ignore_not_found):
                    outcome.errors.append(error)


def _get_tables(client: "Client", query: Query) -> int:
    outcome = Outcome()
    parameters = query.parameters() | ({"includeObject": "Object"} if query.sort_by else {})
    groups: list[tuple[Selected, Object]] = []
    for one, table in fetch(client, query, {"headers": _table_header(), "params": parameters}, outcome):
        if groups and groups[-1][0].resource == one.resource:
            groups[-1][1]["rows"] += table["rows"]
        else:
            groups.append((one, table))
    shown = [(one, table) for one, table in groups if table["rows"]]
    for index, (one, table) in enumerate(shown):
        view = TableView(query, one.resource, table, kind_prefix=query.show_kind or len(query.selected) > 1)
        sys.stdout.write(("\n" if index else "") + view.text(table["rows"]))
    if not shown and not outcome.errors and not query.ignore_not_found:
        sys.stdout.flush()
        where = query.scope.text(query.selected[0].resource)
        print(f"No resources found{where}{'.' if where else ''}", file=sys.stderr)
    return outcome.report()


def _get_objects(client: "Client", query: Query) -> int:
    assert query.output is not None
    show = _object_printer(query)
    outcome = Outcome()
    answers = list(fetch(client, query, {"params": query.parameters()}, outcome))
    objects = [
        (one.resource, _with_kind(item, answer, one.resource)) for one, answer in answers for item in items_of(answer)
    ]
    if query.sort_by:
        objects.sort(key=lambda pair: sort_key(jsonpath.find(query.sort_by or "", pair[1])))
    if query.output == "name":
        sys.stdout.write("".join(f"{name_of(resource, item['metadata']['name'])}\n" for resource, item in objects))
    elif len(query.selected) == 1 and len(query.selected[0].names) == 1:
        sys.stdout.write("".join(show(item) for _, item in objects))
    else:
        sys.stdout.write(show(list_of([item for _, item in objects])))
    return outcome.report()


def _object_printer(query: Query) -> Printer:
    if query.output == "name":
        return lambda data: str(data["metadata"]["name"])
    return printer(query.output or "", show_managed_fields=query.show_managed_fields, show_headers=query.show_headers)


def object_text(query: Query, resource: "Resource", item: Object) -> str:
    """One object in the query's format, as a watch prints it."""
    if query.output == "name":
        return f"{name_of(resource, item['metadata']['name'])}\n"
    text = _object_printer(query)(item)
    return f"---\n{text}" if query.output == "yaml" else text


def _with_kind(item: Object, answer: Object, resource: "Resource") -> Object:
    """Items of a typed list do not say their kind; the printed object does."""
    if item is answer:
        return item
    return {"apiVersion": resource.group_version, "kind": resource.kind} | item


def _table_header() -> dict[str, str]:
    from kubinet.client import TABLE

    return {"Accept": TABLE}


class TableView:
    """A server-side Table of one kind, with the columns that the query asks for."""

    def __init__(self, query: Query, resource: "Resource", table: Object, *, kind_prefix: bool = False) -> None:
        self._query = query
        self._resource = resource
        self._kind_prefix = kind_prefix
        wide = query.output == "wide"
        definitions = table["columnDefinitions"]
        self._columns = [i for i, column in enumerate(definitions) if wide or not column.get("priority")]
        self._name = next((i for i, column in enumerate(definitions) if column["name"].lower() == "name"), None)
        self._namespaced = resource.namespaced and query.scope.everywhere
        headers = [definitions[i]["name"].upper() for i in self._columns]
        headers += [label.rpartition("/")[2].upper() for label in query.label_columns]
        self._printer = TablePrinter(
            ["NAMESPACE"] * self._namespaced + headers + ["LABELS"] * query.show_labels, query.show_headers
        )

    def text(self, rows: Sequence[Object]) -> str:
        """These rows as text, the headers before the first."""
        if self._query.sort_by:
            path = self._query.sort_by
            rows = sorted(rows, key=lambda row: sort_key(jsonpath.find(path, row.get("object") or {})))
        return "".join(f"{line}\n" for line in self._printer.lines(self._cells(row) for row in rows))

    def _cells(self, row: Object) -> list[object]:
        metadata = (row.get("object") or {}).get("metadata") or {}
        labels = metadata.get("labels") or {}
        cells = [self._cell(row["cells"][index], index) for index in self._columns]
        cells += [labels.get(label, "") for label in self._query.label_columns]
        if self._namespaced:
            cells.insert(0, metadata.get("namespace", ""))
        if self._query.show_labels:
            cells.append(",".join(f"{key}={value}" for key, value in sorted(labels.items())) or None)
        return cells

    def _cell(self, value: object, index: int) -> object:
        return name_of(self._resource, str(value)) if self._kind_prefix and index == self._name else value


def sort_key(values: Sequence[Any]) -> tuple[int, float, str]:
    """Missing first, numbers by value, then text."""
    if not values or values[0] is None:
        return (0, 0.0, "")
    first = values[0]
    if isinstance(first, int | float):
        return (1, float(first), "")
    return (2, 0.0, jsonpath.printed(first))
