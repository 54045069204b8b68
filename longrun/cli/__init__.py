"""The ``longrun`` command."""
