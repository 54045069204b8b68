"""Whether a worker lives: its lease ends with its process, and others take over what it held."""
