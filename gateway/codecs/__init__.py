"""Bytes on the wire ↔ core messages: pure functions, one module per wire format."""
