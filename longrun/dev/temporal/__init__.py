"""A Temporal server for development: its configuration, its program, and making it ready."""
