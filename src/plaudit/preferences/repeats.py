"""Pairs that were made before, found in memory that does not grow with their number."""

import sqlite3
from hashlib import blake2b

from plaudit.preferences.pairing import Pick, Turn
from plaudit.preferences.texts import same_text_key

_DIGEST = 16


class Repeats:
    """Remembers pairs by prompt and responses.

    In a table of SQLite's own temporary files, which lie on disk beyond some megabytes and have no
    name.
    """

    def __init__(self) -> None:
        self._seen = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._seen.execute("PRAGMA journal_mode = OFF")
        self._seen.execute("CREATE TABLE pair (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self._seen.execute("BEGIN")

    def new(self, turn: Turn) -> Turn:
        """Return a turn without the pairs that earlier calls have seen, and remember the others."""
        prompt = same_text_key(turn.candidates[0].prompt)
        texts = [same_text_key(candidate.response) for candidate in turn.candidates]
        kept = [pick for pick in turn.picks if self._is_new(prompt, texts, pick)]
        return Turn(turn.candidates, turn.indices, kept)

    def _is_new(self, prompt: bytes, texts: list[bytes], pick: Pick) -> bool:
        found = blake2b(digest_size=_DIGEST)
        for text in (prompt, texts[pick[3]], texts[pick[4]]):
            found.update(len(text).to_bytes(8, "little"))
            found.update(text)
        done = self._seen.execute("INSERT OR IGNORE INTO pair VALUES (?)", (found.digest(),))
        return done.rowcount == 1

    def close(self) -> None:
        """Forget them."""
        self._seen.close()
