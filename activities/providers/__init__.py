"""Model providers: each turns its own stream into neutral deltas."""
