"""`with` and `async with` for what can be closed."""

from types import TracebackType
from typing import Self


class Closing:
    """Is closed at the end of a `with` or an `async with`."""

    def close(self) -> None:
        """Free everything."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Free everything."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
