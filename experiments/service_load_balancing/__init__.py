"""Which load-balancing algorithm does what: distribution, disruption, tail latency, connection rate."""
