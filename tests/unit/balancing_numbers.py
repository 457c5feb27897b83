"""Numbers about the load-balancing algorithms that tests assert and docs/load-balancing.md states."""

from kubinet.state import Algorithm

MOST_CHANGED = {
    Algorithm.HASH: {600: 3},
    Algorithm.SOURCE_HASH: {600: 3},
    Algorithm.RANDOM: {65: 66, 600: 3},
    Algorithm.ROUND_ROBIN: {},
    Algorithm.WEIGHTED: {65: 252, 600: 7},
    Algorithm.LEAST_CONNECTIONS: {65: 252, 600: 7},
    Algorithm.MAGLEV: {3: 91, 10: 42, 63: 22, 65: 21, 600: 49},
}
"""Flows per node that change at most when one endpoint of so many leaves (none where nothing is said). From 65 to 64
endpoints the slot table gives way to a group. The theoretical minimum is one flow for the endpoint's own slots each."""

WORST_SHARE = {2: 1.0, 3: 1.05, 5: 1.09, 7: 1.12, 8: 1.0, 10: 1.04, 20: 1.09, 33: 1.15, 50: 1.2, 63: 1.25, 64: 1.0}
"""Random: the largest share over the smallest one, by number of endpoints."""

NEEDLESS = {2: 0.0, 3: 0.03, 10: 0.06, 63: 0.08, 65: 0.07, 600: 0.02, 10_000: 0.001}
"""Maglev: by endpoints, the part of all slots that moves at most beside those of the endpoint that leaves."""

MOVED = {
    Algorithm.HASH: (0.0, 0.0),
    Algorithm.MAGLEV: (0.0, 0.07),
    Algorithm.RANDOM: (0.5, 0.9),
    Algorithm.WEIGHTED: (0.5, 0.9),
}
"""Part of the connections that get another endpoint although theirs stays, when one of ten leaves: from, to."""
