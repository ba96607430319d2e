"""`python -m worker ingest`: events from a CSV or .xlsx file into `events_normalized`."""
