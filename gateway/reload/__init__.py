"""Change of the configuration while a gateway runs."""
