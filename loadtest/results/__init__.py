"""The result file: everything that was measured, raw."""
