"""Outcomes of long comparisons of formulas, kept in the store so that a repeat says the same."""

from plaudit.engines.base import Completion
from plaudit.runs.cached import ReplyStore


class StoredOutcomes:
    """What `maths.remember_in` takes: a place among the replies of a store.

    Its keys are digests of what is compared, so they never meet those of a request.
    """

    def __init__(self, store: ReplyStore) -> None:
        """Name the store that keeps the outcomes."""
        self._store = store

    def get(self, key: bytes) -> bytes | None:
        """Return the outcome of a key as JSON, or None."""
        found = self._store.get_reply(key)
        return None if found is None else found.text.encode()

    def put(self, key: bytes, value: bytes) -> None:
        """Keep an outcome, as JSON."""
        self._store.put_reply(key, Completion(text=value.decode()))
