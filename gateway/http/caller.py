"""Who sends a request, as far as the key that it brings says so."""

from dataclasses import dataclass

from starlette.requests import Request


@dataclass(frozen=True)
class Caller:
    """The sender of a request; ``name`` is that of the key's holder, if the key has one."""

    name: str | None = None

    def signs(self, by: str) -> str:
        """Whose doing it is, where a body says ``by``: a key's name cannot be talked away."""
        return self.name or by

    @classmethod
    def of(cls, request: Request) -> "Caller":
        """Who sends a request."""
        return getattr(request.state, "caller", None) or cls()
