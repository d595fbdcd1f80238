"""Where the time of answers went: the servers' own metrics and the gateway's ``Server-Timing``."""
