"""The original model, in its own framework: opened, described, asked, and frozen into a file that others convert.

A source is opened once, in a process of its own. What later steps convert is the frozen form it leaves behind, so
that the user's code runs once and a training definition trains once.
"""
