"""The performance table of docs/performance.md: this gateway beside Envoy and other people's servers, in one run."""
