"""Plain data as YAML that `kubinet.yamldata` reads back to equal data, and that people like to read."""

import re
from typing import Any, Final

import yaml

_PLAIN: Final = re.compile(r"[A-Za-z$/(][ -~]*|[0-9]+(\.[0-9]+)?[A-Za-z%]{1,4}")
"""Texts that may stand without quotes where the writer agrees: no reader takes them for numbers."""
_WORDS: Final = frozenset(["y", "n", "yes", "no", "true", "false", "on", "off", "null"])
"""YAML 1.1 reads them as something else than text, in some spellings."""


class _Dumper(yaml.SafeDumper):
    """Our own representers; libyaml's writer is not needed for so little."""

    def ignore_aliases(self, data: object) -> bool:
        """Write equal values out instead of naming one of them."""
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Keep lists at their key's column, as Kubernetes' documentation does."""
        super().increase_indent(flow, indentless)


class _Inline(dict[str, Any]):
    """A mapping that is written on one line."""


def one_line(mapping: dict[str, Any]) -> dict[str, Any]:
    """The mapping, to be written as `{a: 1, b: 2}`."""
    return _Inline(mapping)


def to_yaml(data: object) -> str:
    """The text of one document; keys keep their order."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30))


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else '"'
    if "\n" in value.rstrip("\n") and not any(ord(letter) < 32 and letter != "\n" for letter in value):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


def _inline(dumper: yaml.SafeDumper, value: _Inline) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Inline, _inline)
