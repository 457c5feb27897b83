"""What the overlay costs: round-trip time and TCP throughput of pods against the bare underlay."""
