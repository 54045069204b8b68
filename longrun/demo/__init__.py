"""``longrun demo``: shows in a minute, without any key, what longrun promises, and checks each promise."""
