"""What a change is, and its way from all sources into the logs. Pure."""
