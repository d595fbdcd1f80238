"""The loops that make load, and the recorder of what came of it."""
