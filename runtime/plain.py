"""The errors that a person at the command line is told in one line: what the surroundings lack, what was refused."""


class PlainError(Exception):
    """An error whose message says all that a person needs; a traceback would add nothing."""
