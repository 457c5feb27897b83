"""What this machine has for links, found by trying."""

import os
import shutil
import subprocess

from topologies.links.mechanism import LinkTools


def detect_tools() -> LinkTools:
    """Try in the present network namespace, a throw-away one: netem is put on its loopback and removed."""
    return LinkTools(
        netem=_tries_netem(),
        wirefilter=shutil.which("wirefilter") is not None and shutil.which("vde_switch") is not None,
        tun=os.access("/dev/net/tun", os.R_OK | os.W_OK),
    )


def _tries_netem() -> bool:
    argv = ["tc", "qdisc", "replace", "dev", "lo", "root", "netem", "delay", "1us"]
    tried = subprocess.run(argv, capture_output=True, check=False).returncode == 0
    if tried:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], capture_output=True, check=True)
    return tried
