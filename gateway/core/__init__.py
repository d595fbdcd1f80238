"""Messages, tensors, signatures, errors, Service and Filter: no I/O, no protocol, no framework."""
