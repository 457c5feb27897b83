"""From where on a measurement is suspect or invalid; each limit with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """When a measurement becomes suspect or invalid."""

    idle: float = 0.01
    """A second with less idle time than this (share of all CPUs) counts as without any."""
    busy_share: float = 0.2
    """More of the seconds than this without idle time, or with late wake-ups: the machine was the bottleneck."""
    steal: float = 0.10
    """Mean share of CPU time that the hypervisor took away."""
    late_ms: float = 10.0
    """A second in which 1 % of the probe's wake-ups were later than this: programs waited for a CPU ten times as
    long as a link's delay may be off."""
    pause_ms: float = 250.0
    """One wake-up later than this: longer than TCP's minimum retransmission timeout on Linux (200 ms), so a connection
    can see a loss that no link caused."""
    stopped_ms: float = 1000.0
    """One wake-up later than this: the machine stood still, and what was measured in that time means nothing."""
    throttled_share: float = 0.05
    """More of the seconds than this in which the CPU quota of the control group stopped its programs: suspect."""
    throttled_invalid: float = 0.5
    """More than this: invalid."""
    clock_step_ms: float = 5.0
    """The wall clock moved by this against the monotonic one within a second: ten times what NTP's slewing does
    (500 ppm, adjtimex(2)); timestamps of two programs no longer agree within a link's tolerance."""
    clock_jump_ms: float = 1000.0
    """More than this: invalid."""
    far: float = 0.25
    """A link's rate or delay that is off by more than this share (for delay, and 5 ms) is another link: invalid."""
    far_delay_ms: float = 5.0
    loss_sigmas: float = 4.0
    """Standard deviations of a binomial distribution that a loss may be off: a false alarm in about 16,000 links."""
    rate_over: float = 0.05
    """A shaper may send this share above its rate within a sample before it is said to be too fast."""
    rate_under: float = 0.10
    """A shaper that always had frames to send may stay this share below its rate."""
    controller_s: float = 5.0
    """A change waited longer than this for the nodes' flows: pods talk over flows of a cluster that is gone."""
    answer_s: float = 1.0
    """An OpenFlow echo waited longer than this for a controller that did not compute: TCP sends a first packet again
    after a second (RFC 6298, 2), so a connection that the controller places can see a loss that no link caused."""
    late_answer_s: float = 0.2
    """More of the echoes than `busy_share` waited longer than this for a controller that did not compute: as long as
    TCP waits on Linux before it sends any other packet again."""
    upcall_share: float = 0.5
    """More of a switch's packets than this took the slow path: first packets are measured, not the network."""
    upcall_rate: float = 1000.0
    """Slow-path packets per second below which their share does not matter."""


DEFAULT_LIMITS = Limits()
