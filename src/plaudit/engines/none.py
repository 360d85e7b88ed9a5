"""The engine `none:`: no model, never contacted, for judges that decide by themselves."""

from plaudit.engines.base import Capabilities, Completion, EngineURI, Request
from plaudit.errors import EngineUnusableError, UsageError


class NoEngine:
    """Stands where an engine is named, and completes nothing."""

    capabilities = Capabilities(
        model=False,
        generation=(),
        deterministic=True,
        remote=False,
    )

    def __init__(self, uri: EngineURI) -> None:
        """Take the URI, which says nothing but the scheme.

        Raises:
            UsageError: it names a model or has options.
        """
        uri.take()
        if uri.model:
            raise UsageError(f"engine none: has no model, and so none called {uri.model!r}")
        self.uri = f"{uri.scheme}:"

    async def identify(self) -> str:
        """Return `none`."""
        return "none"

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def complete(self, request: Request) -> Completion:
        """Refuse: there is no model.

        Raises:
            EngineUnusableError: always.
        """
        del request
        raise EngineUnusableError("the engine none: has no model that could be asked")
