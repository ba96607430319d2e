"""What a new or returning client gets first: cursors, missed changes, the initial state."""
