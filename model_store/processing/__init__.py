"""What happens before and after a model, as data: a closed set of declared steps and the one implementation of them.

The command line, the gateway and the build all use it. No code from a manifest is ever executed.
"""
