"""This machine's fingerprint, and where its calibration is kept."""

from pathlib import Path

from experiments.calibration.values import Fingerprint
from experiments.machine import machine_facts
from kubinet.launcher import clusters_dir
from topologies.probes import try_all


def state_folder() -> Path:
    """Where the calibration is kept: beside the clusters' state folders."""
    return clusters_dir().parent


def fingerprint() -> Fingerprint:
    """This machine; tries what its kernel has, which takes about a second."""
    facts = machine_facts()
    refusals = try_all()
    kernel_datapath = not refusals.get("openvswitch", "no") and not refusals.get("kernel_conntrack", "no")
    return Fingerprint(
        cpu_model=str(facts["cpu_model"]),
        cpus=int(str(facts["cpus_usable"])),
        memory_mib=int(str(facts["memory_mib"])),
        kernel=str(facts["kernel"]),
        datapath="system" if kernel_datapath else "netdev",
        wire="netem" if not refusals.get("netem", "no") else "wirefilter",
    )
