"""Targets under measurement: checked, warmed up, measured fairly."""
