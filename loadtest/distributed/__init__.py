"""Load from several hosts: workers on the nodes of a Ray cluster share one seeded schedule; raw samples are merged."""
