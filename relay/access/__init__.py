"""Access control: tokens, policies, limits, origins."""
