"""What a run does, step by step: the activities it calls, and what it shows meanwhile. The state is the ``Run``."""
