"""What this machine has for links, found by trying."""

import shutil

from topologies import probes
from topologies.links.mechanism import LinkTools


def detect_tools() -> LinkTools:
    """Try in the present network namespace, a throw-away one."""
    return LinkTools(
        netem=not probes.refusal(probes.netem),
        wirefilter=shutil.which("wirefilter") is not None and shutil.which("vde_switch") is not None,
        tun=not probes.refusal(probes.tun),
    )
