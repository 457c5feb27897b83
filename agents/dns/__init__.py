"""The cluster's DNS server, a program for pods: imports nothing of Kubinet but this package, and dnspython."""
