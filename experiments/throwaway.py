"""Running a module of ours in throw-away namespaces, as root or as an ordinary user: JSON in, JSON out."""

import json
import os
import subprocess
import sys
from typing import Any, Final

from kubinet.errors import KubinetError

_NAMESPACES: Final = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_FURNISH: Final = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'


def run_inside(module: str, request: object, *, timeout_s: float | None = None) -> Any:
    """What `python -m module` printed there as its last line, given the request on its standard input.

    KubinetError with its last words when it failed or took too long.
    """
    namespaces = list(_NAMESPACES) if os.geteuid() == 0 else ["--user", "--map-root-user", *_NAMESPACES]
    argv = ["unshare", *namespaces, "sh", "-c", _FURNISH, "sh", sys.executable, "-m", module]
    try:
        done = subprocess.run(
            argv, input=json.dumps(request), capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise KubinetError(f"{module} did not end in {timeout_s:g} s") from error
    if done.returncode != 0:
        words = done.stderr.strip().rpartition("\n")[2]
        raise KubinetError(f"{module} ended with status {done.returncode}: {words}")
    return json.loads(done.stdout.splitlines()[-1])
