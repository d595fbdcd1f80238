"""HTTP/1.1, the server's end: bytes in, requests out; replies in, bytes out. Parsing is httptools'."""
