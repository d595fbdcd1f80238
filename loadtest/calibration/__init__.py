"""What the load generator can do on this machine, measured against a server that does nothing."""
