"""Commands and lists over HTTP, under the caller's own token."""
