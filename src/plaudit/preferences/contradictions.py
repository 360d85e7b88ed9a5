"""Pairs of several turns that contradict each other, found in memory that does not grow.

Two pairs do where both have the same prompt and the same two responses, and each rejects what the
other one prefers. That takes two turns with one prompt, and with the same two responses. Where
there are none, which is cheap to see, no pair is compared with another.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from plaudit.preferences.pairing import CandidateGroup
from plaudit.preferences.seen import Seen
from plaudit.preferences.texts import prompt_key, response_key

MARK = 16
"""Bytes of a mark."""

_BATCH = 500


class RepeatedError(Exception):
    """What `Watch` looks for was found: pairs of two turns can contradict each other."""


class Mark(NamedTuple):
    """What identifies a pair by its prompt and both responses."""

    pair: bytes
    """The same whichever of both responses is preferred."""
    side: bool
    """Which of them is."""


NO_MARK = Mark(bytes(MARK), side=False)


def marks_of(turn: CandidateGroup) -> Iterator[Mark]:
    """Yield the mark of each pair of a turn."""
    start = blake2b(digest_size=MARK)
    prompt = prompt_key(turn.candidates[0].prompt)
    start.update(len(prompt).to_bytes(8, "little") + prompt)
    digests: list[int] = []
    for candidate in turn.candidates:
        drawn = start.copy()
        drawn.update(response_key(candidate.response))
        digests.append(int.from_bytes(drawn.digest(), "little"))
    for _, _, _, better, worse in turn.picks:
        one, other = digests[better], digests[worse]
        yield Mark((one ^ other).to_bytes(MARK, "little"), one > other)


def prompt_hashes(turn: CandidateGroup) -> Iterable[int]:
    """Return a hash of the prompt of a turn that has pairs.

    Where none is that of another turn, no two pairs contradict each other. Hashes are the same in
    this process and its forks.
    """
    return (hash(prompt_key(turn.candidates[0].prompt)),) if turn.picks else ()


def response_hashes(turn: CandidateGroup) -> Iterable[int]:
    """Return a hash of prompt and response for each response of a turn that has pairs.

    Where none is that of another turn, no two pairs contradict each other. It takes longer than
    `prompt_hashes`, and finds less.
    """
    if not turn.picks:
        return ()
    prompt = hash(prompt_key(turn.candidates[0].prompt))
    return {hash((prompt, response_key(one.response))) for one in turn.candidates}


class Watch:
    """Looks whether hashes of a turn occur in another one."""

    def __init__(self, hashes_of: Callable[[CandidateGroup], Iterable[int]]) -> None:
        """Take what is looked for."""
        self._hashes_of = hashes_of
        self._seen = Seen()
        self._waiting: list[int] = []
        self.found = False
        """Whether one does, of the turns that were looked at."""

    def over(self, turns: Iterable[CandidateGroup]) -> Iterator[CandidateGroup]:
        """Yield turns, and look at each.

        Raises:
            StoreError: there is no room to remember it.
        """
        for turn in turns:
            if not self.found:
                self._waiting += self._hashes_of(turn)
                if len(self._waiting) >= _BATCH:
                    self.look()
            yield turn
        self.look()

    def look(self, hashes: Iterable[int] = ()) -> None:
        """Look at hashes, and at all that wait.

        Raises:
            StoreError: there is no room to remember them.
        """
        self._waiting += hashes
        if self._waiting and not self.found:
            self.found = not self._seen.are_new(self._waiting)
        self._waiting = []

    def close(self) -> None:
        """Forget all."""
        self._seen.close()
