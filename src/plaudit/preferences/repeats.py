"""Pairs that were made before, found in memory that does not grow with their number."""

from hashlib import blake2b

from plaudit.preferences.competing import Pick
from plaudit.preferences.pairing import CandidateGroup
from plaudit.preferences.seen import Seen
from plaudit.preferences.texts import prompt_key, response_key

_DIGEST = 16


class Repeats:
    """Remembers pairs by prompt and responses."""

    def __init__(self) -> None:
        self._seen = Seen()

    def new(self, turn: CandidateGroup) -> CandidateGroup:
        """Return a turn without the pairs that earlier calls have seen, and remember the others.

        Raises:
            StoreError: there is no room to remember them.
        """
        prompt = prompt_key(turn.candidates[0].prompt)
        texts = [response_key(candidate.response) for candidate in turn.candidates]
        kept = [pick for pick in turn.picks if self._is_new(prompt, texts, pick)]
        return CandidateGroup(turn.candidates, turn.indices, kept)

    def _is_new(self, prompt: bytes, texts: list[bytes], pick: Pick) -> bool:
        found = blake2b(digest_size=_DIGEST)
        for text in (prompt, texts[pick[3]], texts[pick[4]]):
            found.update(len(text).to_bytes(8, "little"))
            found.update(text)
        return self._seen.is_new(found.digest())

    def close(self) -> None:
        """Forget them."""
        self._seen.close()
