"""Chaos harness: everything fails in turn, and every client's rows are compared with a ledger."""
