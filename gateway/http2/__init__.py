"""HTTP/2 (RFC 9113) and HPACK (RFC 7541), as much of them as gRPC needs, for the gateway and the load tester."""
