"""The controller daemon: holds the cluster's state, decides, and tells the agents."""
