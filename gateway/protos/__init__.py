"""Protocol definitions and the one loader that turns them into message classes."""
