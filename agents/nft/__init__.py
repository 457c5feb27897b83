"""Services by the node's kernel: nftables rules of the form that kube-proxy's nftables mode writes. The baseline."""
