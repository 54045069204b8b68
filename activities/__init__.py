"""What a run does to the world: the worker process."""
