"""Several endpoints that serve one model, as one engine."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from plaudit.engines.base import Completion, Engine, EngineInfo, Request, engine_info
from plaudit.engines.uri import EngineURI
from plaudit.errors import EngineUnusableError, UsageError


class Replicas:
    """Engines that answer alike; a pool chooses among them, request by request.

    They are opened together, and it is enough that one of them can be: the others are tried again
    by the pool. A refused key or an unknown model at any of them ends the run all the same, since
    that is a mistake and not an outage.
    """

    def __init__(self, uri: EngineURI, replicas: Sequence[Engine]) -> None:
        """Join engines; at least one."""
        self.uri = str(uri)
        """The engine URI with all base URLs."""
        self.capabilities = replicas[0].capabilities
        """What each of them can do."""
        self._uri = uri
        self._replicas = tuple(replicas)

    def __reduce__(self) -> Any:
        """Pickle the engines, each of which leaves its connections behind."""
        return type(self), (self._uri, self._replicas)

    @classmethod
    def of(cls, uri: EngineURI, make: Callable[[EngineURI], Engine]) -> "Replicas":
        """Make an engine for each base URL of a URI.

        Raises:
            UsageError: a URL is given twice.
        """
        if len(set(uri.base_urls)) < len(uri.base_urls):
            raise UsageError(f"{uri} names a base URL twice")
        single = (msgspec.structs.replace(uri, base_urls=(url,)) for url in uri.base_urls)
        return cls(uri, [make(one) for one in single])

    @property
    def info(self) -> EngineInfo:
        """What is known of all of them, the replicas among it."""
        return joint_info(self._replicas)

    async def identify(self) -> str:
        """Return the identity of the model.

        Raises:
            EngineUnusableError: no endpoint says, or they serve different models.
        """
        found = await asyncio.gather(
            *(engine.identify() for engine in self._replicas), return_exceptions=True
        )
        identities = {identity for identity in found if isinstance(identity, str)}
        if len(identities) > 1:
            raise EngineUnusableError(
                f"the endpoints of {self.uri} serve different models: "
                f"{', '.join(sorted(identities))}; name the one that is meant"
            )
        if not identities:
            raise _first_error(found)
        return identities.pop()

    async def open(self) -> None:
        """Open all of them.

        Raises:
            EngineUnusableError: none can be opened, or one of them refuses the key.
        """
        found = await asyncio.gather(
            *(engine.open() for engine in self._replicas), return_exceptions=True
        )
        errors = [error for error in found if error is not None]
        if len(errors) == len(self._replicas) or not all(map(_is_outage, errors)):
            raise _first_error(errors)

    async def complete(self, request: Request) -> Completion:
        """Complete one request at the first endpoint; pools go to `info.replicas` themselves."""
        return await self._replicas[0].complete(request)

    async def close(self) -> None:
        """Close all of them."""
        await asyncio.gather(*(engine.close() for engine in self._replicas))


def joint_info(replicas: Sequence[Engine]) -> EngineInfo:
    """Return what is known of several engines that serve one model; each note once."""
    found = [engine_info(engine) for engine in replicas]
    return EngineInfo(
        special_tokens=found[0].special_tokens if found else (),
        reasoning=any(info.reasoning for info in found),
        base_url=found[0].base_url if found else "",
        replicas=tuple(replicas),
        replica_count=len(found),
        notes=tuple(dict.fromkeys(note for info in found for note in info.notes)),
        refused=sum(info.refused for info in found),
    )


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, EngineUnusableError) and error.outage


def _first_error(found: Sequence[object]) -> BaseException:
    errors = [error for error in found if isinstance(error, BaseException)]
    return next((error for error in errors if not _is_outage(error)), errors[0])
