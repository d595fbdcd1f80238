"""The build's heavy steps.

Each module is a program of its own, run in a fresh process: memory goes back when it ends, and frameworks that
cannot share a process never meet.
"""
