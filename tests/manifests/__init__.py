"""The files that containers are made from, checked without Docker, a cluster or a network, by the real tools."""
