"""One module for each kind of server: configuration in, ``Launch`` out, its files written to the run directory."""
