"""Exact order statistics, their intervals, and what must hold for them to mean anything."""
