"""Reading a run's log as it grows: after seq N, live, to the end."""
