"""Who is asked: every way to a server, and the bytes it wants."""
