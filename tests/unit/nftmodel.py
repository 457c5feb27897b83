"""A small interpreter of the nft commands that Kubinet writes: what the table is after them, or what was wrong.

It knows the references that the kernel checks: a verdict leads to a chain that exists, a rule names a map that exists,
and nothing is deleted that is still referred to. Beyond the kernel: every number that a rule may draw has an element.
And it follows connections through the chains.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Network

_VERDICT = re.compile(r"\b(?:goto|jump) (\S+?)(?=[ ,}]|$)")
_NUMBERS = re.compile(r"numgen random mod (\d+) vmap @(\S+)")
_NAMED = re.compile(r"@(\S+)")
_CONDITION = re.compile(
    r"(ip saddr (?P<other>!= )?(?P<network>[\d./]+)|ip saddr @(?P<set>\S+)|"
    r"(?P<local>fib saddr type local)|meta l4proto tcp) "
)
_network = cache(IPv4Network)

Source = IPv4Address | None
"""Of a connection; None: the node itself."""
Ends = frozenset[str]
"""How connections may end: `dnat to …`, `drop`, `reject …`, or nothing where the rules of a chain come to their end."""


@dataclass
class Table:
    """Chains with rules, maps and sets with elements."""

    chains: dict[str, list[str]] = field(default_factory=dict)
    collections: dict[str, dict[str, str]] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)

    def apply(self, text: str) -> None:
        """Carry out a transaction; AssertionError where the kernel would refuse."""
        for line in _commands(text):
            self._command(line)
        self._check()

    def answers(self, sources: Iterable[Source]) -> dict[tuple[str, str, str, Source], Ends]:
        """What becomes of TCP connections to everything that is served, by map, key, Service and source."""
        return {
            (name, key, "/".join(verdict.split("/")[1:3]), source): self._ends(verdict, source)
            for source in sources
            for name in ("services", "node-ports")
            for key, verdict in self.collections.get(name, {}).items()
        }

    def _ends(self, action: str, source: Source) -> Ends:
        if numbers := _NUMBERS.match(action):
            known = self.collections[numbers[2]]
            return Ends().union(*(self._ends(known[str(number)], source) for number in range(int(numbers[1]))))
        if not action.startswith("goto "):
            return Ends({action})
        found = Ends()
        for rule in self.chains[action.removeprefix("goto ")]:
            condition = _condition(rule)
            then = rule[condition.end() :] if condition else rule
            if then.startswith(("jump ", "update ")) or (condition and not self._may_hold(condition, source)):
                continue
            found |= self._ends(then, source)
            if not (condition and _is_of_clients(condition)):
                return found
        return found | {""}

    def _may_hold(self, condition: re.Match[str], source: Source) -> bool:
        if name := condition["set"]:
            ranges = self.collections[name]
            return _is_of_clients(condition) or any(source in _network(one) for one in ranges if source is not None)
        if network := condition["network"]:
            return (source is not None and source in _network(network)) != bool(condition["other"])
        return source is None or not condition["local"]

    def _command(self, line: str) -> None:
        verb, kind, rest = line.split(" ", 2)
        if kind == "table":
            if verb == "delete":
                self.chains, self.collections, self.definitions = {}, {}, {}
            return
        name, _, body = rest.removeprefix("ip kubinet ").partition(" ")
        match verb, kind:
            case "add", "chain":
                self.chains.setdefault(name, [])
            case "flush", "chain":
                self.chains[name].clear()
            case "add", "rule":
                self.chains[name].append(body)
            case "delete", "chain":
                assert not self.chains.pop(name), f"chain {name} still has rules"
                self._unreferred(name)
            case "add", "map" | "set":
                assert name not in self.collections
                self.collections[name], self.definitions[name] = {}, body
            case "delete", "map" | "set":
                del self.collections[name], self.definitions[name]
                assert not any(name in _NAMED.findall(rule) for rules in self.chains.values() for rule in rules), name
            case "add" | "delete", "element":
                self._elements(verb, name, body.strip("{} "))
            case _:
                raise AssertionError(line)

    def _elements(self, verb: str, name: str, body: str) -> None:
        for element in body.split(", "):
            key, _, value = element.partition(" : ")
            if verb == "add":
                assert key not in self.collections[name], f"{key} is in {name}"
                self.collections[name][key] = value
            else:
                assert self.collections[name].pop(key) == value

    def _unreferred(self, chain: str) -> None:
        values = [value for elements in self.collections.values() for value in elements.values()]
        rules = [rule for rules in self.chains.values() for rule in rules]
        assert not any(chain in _VERDICT.findall(text) for text in (*values, *rules)), f"{chain} is referred to"

    def _check(self) -> None:
        for name, rules in self.chains.items():
            for rule in rules:
                missing = [one for one in _VERDICT.findall(rule) if one not in self.chains]
                missing += [one for one in _NAMED.findall(rule) if one not in self.collections]
                assert not missing, f"{name}: {rule}: {missing}"
                if numbers := _NUMBERS.match(rule):
                    known = self.collections[numbers[2]]
                    assert set(map(str, range(int(numbers[1])))) <= known.keys(), f"{name}: {rule}: {list(known)}"
        for name, elements in self.collections.items():
            for value in elements.values():
                assert all(one in self.chains for one in _VERDICT.findall(value)), f"{name}: {value}"


@cache
def _condition(rule: str) -> re.Match[str] | None:
    return _CONDITION.match(rule)


def _is_of_clients(condition: re.Match[str]) -> bool:
    """The rule asks a set of clients: anybody may be in it, or not."""
    return (condition["set"] or "").startswith("clients-")


def _commands(text: str) -> list[str]:
    """Commands, one a line; the base's block becomes some of them."""
    lines, chain = [], ""
    for line in text.splitlines():
        words = line.strip()
        if line.startswith("  ") and (block := re.match(r"(map|set) (\S+) \{(.*)\}$", words)):
            lines.append(f"add {block[1]} ip kubinet {block[2]} {{{block[3]}}}")
        elif line.startswith("  ") and (block := re.match(r"chain (\S+) \{$", words)):
            chain = block[1]
            lines.append(f"add chain ip kubinet {chain}")
        elif line.startswith("    "):
            lines.append(f"add rule ip kubinet {chain} {words}")
        elif words not in ("", "}", "table ip kubinet {"):
            lines.append(words)
    return lines
