"""Which workers `--workers` asks for: `local:2`, `ssh:host1,host2`, `slurm:jobs=4,queue=debug`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kubinet.errors import UsageError

_FORMS: Final = (
    "write local:2, ssh:host1,host2, ssh:host1,python=/path/to/.venv/bin/python or "
    "slurm:jobs=4,queue=debug,walltime=01:00:00"
)


@dataclass(frozen=True, slots=True)
class Workers:
    """What `--workers` asks for."""

    kind: str
    """`local`, `ssh` or `slurm`."""
    count: int
    """Runs side by side."""
    hosts: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def shares_a_machine(self) -> bool:
        """Whether runs may be on one machine at the same time, and so disturb each other's speed."""
        return self.kind == "local" and self.count > 1


def parse_workers(text: str) -> Workers:
    """Read `--workers`; UsageError with the forms."""
    kind, _, rest = text.partition(":")
    parts = tuple(part.strip() for part in rest.split(",") if part.strip())
    options = dict(part.partition("=")[::2] for part in parts if "=" in part)
    plain = tuple(part for part in parts if "=" not in part)
    if all(options) and all(options.values()):
        if kind == "local" and not options and len(plain) == 1 and plain[0].isdecimal() and int(plain[0]) > 0:
            return Workers(kind, int(plain[0]))
        if kind == "ssh" and plain and options.keys() <= {"python"}:
            if len(set(plain)) < len(plain):
                raise UsageError(f"--workers {text}: a host is named twice; each has one run at a time")
            return Workers(kind, len(plain), plain, options)
        jobs = options.pop("jobs", "1")
        if kind == "slurm" and not plain and jobs.isdecimal() and int(jobs) > 0:
            return Workers(kind, int(jobs), options=options)
    raise UsageError(f"--workers {text}: {_FORMS}")
