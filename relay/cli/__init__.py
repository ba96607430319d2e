"""Commands for the terminal that talk to a running relay."""
