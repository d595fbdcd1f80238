"""``gateway serve --workers N``: several gateway processes on the same ports, and the parent that looks after them."""
