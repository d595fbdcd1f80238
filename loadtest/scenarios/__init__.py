"""What can be measured: each module is one scenario of the command line."""
