"""Counts of an answer's tokens, read from models in which a host may leave out anything."""


def count(source: object, *path: str) -> int | None:
    """The number at the end of a path of attributes, ``None`` where the provider did not say."""
    for name in path:
        source = getattr(source, name, None)
    return source if isinstance(source, int) else None
