"""One behaviour a file, each a Filter around a Service; ``gateway.stack`` puts them in order."""
