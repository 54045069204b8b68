"""The front doors: the HTTP process and the command line."""
