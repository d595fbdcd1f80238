"""The commands of the load tester, one a file."""
