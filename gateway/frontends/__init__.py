"""Protocols in: thin shells that turn a wire format into a request for the one Service, and back."""
