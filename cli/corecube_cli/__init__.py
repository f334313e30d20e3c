"""The command line of corecube."""
