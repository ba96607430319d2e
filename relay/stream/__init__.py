"""Changes, merged from all sources, in one log per endpoint, and their fan-out to subscribers."""
