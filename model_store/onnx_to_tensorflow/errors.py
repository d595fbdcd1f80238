"""What cannot be translated."""


class UnsupportedOperators(Exception):
    """The graph needs what cannot be translated; the message names all of it."""
