"""What the dashboard reads, at a size: how long its answers take."""
