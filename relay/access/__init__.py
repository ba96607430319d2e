"""Who may connect, what they may see, and how much."""
