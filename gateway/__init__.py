"""The HTTP process: what every door calls, the kit of a door, and the doors."""
