"""Starts, supervises and stops the backends and the gateway as local processes."""
