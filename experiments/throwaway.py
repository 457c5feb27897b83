"""Running a module of ours in throw-away namespaces, as root or as an ordinary user: nothing of it is left."""

import json
import os
import subprocess
import sys
from typing import Any, Final

from kubinet.errors import DeadlineError, KubinetError
from kubinet.sandbox import search_path

_NAMESPACES: Final = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_FURNISH: Final = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'


def run_inside(module: str, *arguments: str, request: object | None = None, timeout_s: float | None = None) -> Any:
    """What `python -m module arguments` printed there as its last line, which is JSON.

    `request` is on its standard input, as JSON. /run is empty, the loopback is up, and programs of administrators are
    found. KubinetError with its last words when it failed, DeadlineError when it took too long.
    """
    namespaces = list(_NAMESPACES) if os.geteuid() == 0 else ["--user", "--map-root-user", *_NAMESPACES]
    argv = ["unshare", *namespaces, "sh", "-c", _FURNISH, "sh", sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PATH": search_path()}
    try:
        done = subprocess.run(
            argv,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"{module}: it did not end in {timeout_s:g} s") from error
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        words = done.stderr.strip()[-800:]
        raise KubinetError(f"{module}: it ended with status {done.returncode}: {words}")
    return json.loads(lines[-1])
