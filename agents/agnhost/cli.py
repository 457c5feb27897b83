"""`agnhost SUBCOMMAND [flags]`: each subcommand's module is imported only when it is called."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Final, NoReturn

from agents.agnhost.flags import FlagError

SUBCOMMANDS: Final = {
    "connect": ("connect", "tries a TCP, UDP or SCTP connection and prints why it failed"),
    "dns-server-list": ("hostinfo", "prints the DNS servers of /etc/resolv.conf"),
    "dns-suffix": ("hostinfo", "prints the search list of /etc/resolv.conf"),
    "entrypoint-tester": ("hostinfo", "prints its own command line"),
    "etc-hosts": ("hostinfo", "prints /etc/hosts"),
    "liveness": ("probed", "an HTTP server whose /healthz fails after 10 seconds"),
    "load-client": ("load_client", "TCP load whose answers, times and rates it prints as JSON (Kubinet's own)"),
    "load-server": ("load_server", "a TCP server with one worker and a fixed service time (Kubinet's own)"),
    "netexec": ("netexec", "HTTP(S), UDP and SCTP servers with endpoints for tests"),
    "pause": ("hostinfo", "waits for SIGTERM (exit 2) or SIGINT (exit 1)"),
    "porter": ("porter", "serves the values of SERVE_PORT_<n> and the like on port <n>"),
    "serve-hostname": ("serve_hostname", "serves the host name over HTTP, TCP or UDP"),
    "test-webserver": ("probed", "serves the container's files over HTTP"),
}
"""Name -> (module, what it does). A module has one function per subcommand, with `_` for `-`."""


def main(arguments: list[str]) -> NoReturn:
    """Run a subcommand and end the process with its status."""
    if not arguments or arguments[0] in ("help", "-h", "--help"):
        sys.stdout.write(usage())
        sys.exit(0)
    name, *rest = arguments
    if name not in SUBCOMMANDS:
        sys.stderr.write(f'Error: unknown command "{name}" for "agnhost"\n{usage()}')
        sys.exit(1)
    module = import_module(f"agents.agnhost.{SUBCOMMANDS[name][0]}")
    run: Callable[[list[str]], int] = getattr(module, name.replace("-", "_"))
    try:
        status = run(rest)
    except FlagError as error:
        sys.stderr.write(f"Error: {error}\n")
        status = 1
    sys.stdout.flush()
    os._exit(status)  # server threads must not keep the process


def usage() -> str:
    """The list of subcommands."""
    lines = [f"  {name:<18} {about}\n" for name, (_, about) in SUBCOMMANDS.items()]
    return "Usage:\n  agnhost SUBCOMMAND [flags]\n\nSubcommands:\n" + "".join(lines)
