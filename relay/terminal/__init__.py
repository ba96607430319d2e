"""The relay's commands for people: tail and check."""
