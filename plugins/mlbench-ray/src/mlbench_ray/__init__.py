"""Ray for mlbench: requests are done on the nodes of a cluster, each by the same worker process as on one machine."""
