"""What Services need on nodes outside of OpenFlow: health checks, forgotten connections, the nftables baseline."""
