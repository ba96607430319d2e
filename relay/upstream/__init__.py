"""Where changes come from: Realtime for speed, the tables themselves for certainty."""
