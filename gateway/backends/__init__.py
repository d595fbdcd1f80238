"""Protocols out: each backend is a Service that speaks to one kind of model server."""
