"""Turns and pairs beyond memory, in temporary tables."""

import itertools
from array import array
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import blake2b

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.io.scratch import Tables
from plaudit.preferences.balance import LengthBalance
from plaudit.preferences.texts import length_of, prompt_key
from plaudit.preferences.types import Candidate, CandidateGroup, Contradictions, Id, Pick

BUDGET = 64 * 2**20
"""Bytes of rows that are kept in memory."""

MOST_CANDIDATES = 10_000
"""A turn with more is refused: its ids do not separate prompts."""

TurnKey = tuple[Id, Id, Id | None]
"""Example, turn and run."""

ByTurn = dict[TurnKey, list[Candidate]]
"""Candidates by turn, in the order in which turns began."""

_Responses = tuple[int, int, bytes]
"""Hash of a prompt, number of the turn, and hashes of its responses."""

_BATCH = 500
_SIGNED = 2**63
_DIGEST = 16
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(
    tuple[Id, Id, Id | None, int | None, bytes, bytes, float | None, float | None, bytes | None]
).decode


class ReadAgainError(Exception):
    """Turns do not lie together, or pairs of two turns can contradict each other."""


class SeenKeys:
    """Remembers keys: bytes, or whole numbers of 64 bits."""

    def __init__(self, most_pages: int = 2**32 - 2) -> None:
        """Begin with no keys.

        Args:
            most_pages: the largest size of the table, in pages of SQLite.
        """
        self._tables = Tables(
            "CREATE TABLE seen (key PRIMARY KEY) WITHOUT ROWID",
            f"PRAGMA max_page_count = {most_pages}",
        )

    def are_new(self, keys: Collection[bytes | int]) -> bool:
        """Remember keys; return whether none was seen before and no two are the same.

        Raises:
            StoreError: there is no room for the keys.
        """
        added = self._tables.add("INSERT OR IGNORE INTO seen VALUES (?)", ((key,) for key in keys))
        return added == len(keys)

    def close(self) -> None:
        """Forget the keys."""
        self._tables.close()


def add_to_turns(candidates: Sequence[Candidate], turns: ByTurn) -> None:
    """Add candidates to the turns that they belong to.

    Raises:
        InputError: a turn has more than `MOST_CANDIDATES`.
    """
    key, turn = None, list[Candidate]()
    for candidate in candidates:
        ids = (candidate.example_id, candidate.turn_id, candidate.run)
        if ids != key:
            key, turn = ids, turns.setdefault(ids, [])
        elif len(turn) > MOST_CANDIDATES:
            raise too_many(candidate)
        turn.append(candidate)


def too_many(candidate: Candidate) -> InputError:
    """Return the error for a turn with too many candidates."""
    return InputError(
        f"turn {candidate.turn_id!r} of example {candidate.example_id!r} has more than "
        f"{MOST_CANDIDATES:,} candidates: example_id and turn_id must tell prompts apart"
    )


def contiguous_turns(batches: Iterable[Sequence[Candidate]]) -> Iterator[list[Candidate]]:
    """Yield the candidates of each turn, in the order in which turns began.

    Within a batch candidates may lie in any order. Turns are remembered by a hash: two turns of one
    hash, one chance in a million among five million turns, look like one that lies apart.

    Raises:
        ReadAgainError: a later batch has a candidate of a turn that was yielded already.
        InputError: a turn has more than `MOST_CANDIDATES`.
        StoreError: there is no room to remember the turns.
    """
    turns: ByTurn = {}
    with closing(SeenKeys()) as given:
        for candidates in batches:
            if candidates:
                last = candidates[-1]
                add_to_turns(candidates, turns)
                begun = list(turns)
                ended = begun[: begun.index((last.example_id, last.turn_id, last.run))]
                yield from _given(turns, ended, given)
        yield from _given(turns, list(turns), given)


def _given(turns: ByTurn, keys: Sequence[TurnKey], given: SeenKeys) -> Iterator[list[Candidate]]:
    if not given.are_new(list(map(hash, keys))):
        raise ReadAgainError
    for key in keys:
        yield turns.pop(key)


class CandidateGroups:
    """Takes candidates in any order, and yields them by turn."""

    def __init__(self, budget: int = BUDGET) -> None:
        """Begin; beyond `budget` bytes of rows, candidates are kept in temporary files."""
        self._budget = budget
        self._size = 0
        self._turns: ByTurn = {}
        self._tables: Tables | None = None
        self._count = 0

    def add(self, candidates: Sequence[Candidate], size: int) -> None:
        """Add candidates that take about `size` bytes.

        Raises:
            InputError: a turn has more than `MOST_CANDIDATES`.
            StoreError: there is no room for the files.
        """
        if self._tables is not None:
            self._store(candidates, self._tables)
            return
        add_to_turns(candidates, self._turns)
        self._size += size
        if self._size > self._budget:
            self._tables = Tables(
                "CREATE TABLE turns (key PRIMARY KEY, first INTEGER) WITHOUT ROWID",
                "CREATE TABLE candidates (number INTEGER PRIMARY KEY, key, data)",
            )
            self._store(itertools.chain.from_iterable(self._turns.values()), self._tables)
            self._turns.clear()

    def __iter__(self) -> Iterator[list[Candidate]]:
        """Yield the candidates of each turn, in the order in which turns began. To be used once."""
        if self._tables is None:
            for key in list(self._turns):
                yield self._turns.pop(key)
            return
        query = "SELECT first, data FROM candidates JOIN turns USING (key) ORDER BY first, number"
        with closing(self._tables) as tables, closing(tables.rows(query)) as rows:
            for _, turn in itertools.groupby(rows, key=lambda row: row[0]):
                found = [_unpacked(data) for _, data in itertools.islice(turn, MOST_CANDIDATES + 1)]
                if len(found) > MOST_CANDIDATES:
                    raise too_many(found[0])
                yield found

    def _store(self, candidates: Iterable[Candidate], tables: Tables) -> None:
        packed = [
            (number, _encode((one.example_id, one.turn_id, one.run)), _packed(one))
            for number, one in enumerate(candidates, self._count)
        ]
        self._count += len(packed)
        tables.add("INSERT OR IGNORE INTO turns VALUES (?, ?)", ((key, n) for n, key, _ in packed))
        tables.add("INSERT INTO candidates VALUES (?, ?, ?)", packed)


def _packed(one: Candidate) -> bytes:
    metadata = None if one.metadata is None else bytes(one.metadata)
    texts = (bytes(one.prompt), bytes(one.response))
    ids = (one.example_id, one.turn_id, one.run, one.index)
    return _encode((*ids, *texts, one.score, one.confidence, metadata))


def _unpacked(data: bytes) -> Candidate:
    example_id, turn_id, run, index, prompt, response, score, confidence, metadata = _decode(data)
    return Candidate(
        example_id=example_id,
        turn_id=turn_id,
        run=run,
        index=index,
        prompt=Raw(prompt),
        response=Raw(response),
        score=score,
        confidence=confidence,
        metadata=None if metadata is None else Raw(metadata),
    )


# Pairs


def without_shared_pairs(turns: Iterable[CandidateGroup]) -> Iterator[CandidateGroup]:
    """Yield turns of which no pair can contradict a pair of another turn.

    Raises:
        ReadAgainError: two turns with pairs have one prompt, and two responses in common.
        StoreError: there is no room to remember the responses.
    """
    table = "CREATE TABLE prompts (key INTEGER PRIMARY KEY, number, responses)"
    waiting: list[_Responses] = []
    with closing(Tables(table)) as tables:
        for number, turn in enumerate(turns):
            if turn.picks:
                prompt = hash(prompt_key(turn.candidates[0].prompt))
                waiting.append((prompt, number, array("q", map(hash, turn.texts)).tobytes()))
            if len(waiting) >= _BATCH:
                _check_apart(waiting, tables)
                waiting.clear()
            yield turn
        _check_apart(waiting, tables)


def _check_apart(rows: Sequence[_Responses], tables: Tables) -> None:
    if tables.add("INSERT OR IGNORE INTO prompts VALUES (?, ?, ?)", rows) == len(rows):
        return
    for prompt, number, responses in rows:
        query = tables.run("SELECT number, responses FROM prompts WHERE key = ?", prompt)
        first, held = query.fetchone()
        if first == number:
            continue
        if len(set(array("q", held)).intersection(array("q", responses))) > 1:
            raise ReadAgainError
        tables.run("UPDATE prompts SET responses = ? WHERE key = ?", held + responses, prompt)


def without_repeats(turns: Iterable[CandidateGroup]) -> Iterator[tuple[CandidateGroup, int]]:
    """Yield turns without the pairs of earlier turns, and how many pairs that drops.

    Raises:
        StoreError: there is no room to remember the pairs.
    """
    with closing(SeenKeys()) as seen:
        for turn in turns:
            prompt = prompt_key(turn.candidates[0].prompt)
            digests = [_digest(prompt, turn.texts, pick) for pick in turn.picks]
            new = [seen.are_new((digest,)) for digest in digests]
            kept = list(itertools.compress(turn.picks, new))
            dropped = len(turn.picks) - len(kept)
            yield msgspec.structs.replace(turn, picks=kept), dropped


def _digest(prompt: bytes, texts: Sequence[bytes], pick: Pick) -> bytes:
    found = blake2b(digest_size=_DIGEST)
    for text in (prompt, texts[pick[3]], texts[pick[4]]):
        found.update(len(text).to_bytes(8, "little"))
        found.update(text)
    return found.digest()


class StagedPairs:
    """Lines of pairs that wait until it is known which of them are kept.

    Two pairs contradict each other where they have the same prompt and the same two responses, and
    each rejects what the other one prefers.
    """

    def __init__(self, seed: int, contradictions: Contradictions) -> None:
        """Begin; `contradictions` says whether `drop_contradictions` is going to be called."""
        self._tables = Tables(
            "CREATE TABLE lines (number INTEGER PRIMARY KEY, line)",
            "CREATE TABLE pairs (number INTEGER PRIMARY KEY, priority, chosen, rejected, mark, "
            "side)",
        )
        self._seed = f"{seed}/".encode()
        self._marked = contradictions == "drop"
        self._count = 0

    def add(self, turn: CandidateGroup, lines: Sequence[bytes]) -> None:
        """Add the pairs of a turn, and a line for each.

        Raises:
            StoreError: there is no room for the pairs.
        """
        lengths = [length_of(candidate.response) for candidate in turn.candidates]
        marks = _marks_of(turn) if self._marked else itertools.repeat((None, None))
        numbers = range(self._count, self._count + len(lines))
        self._tables.add("INSERT INTO lines VALUES (?, ?)", zip(numbers, lines, strict=True))
        self._tables.add(
            "INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?)",
            (
                (number, self._priority(number), lengths[pick[3]], lengths[pick[4]], *mark)
                for number, pick, mark in zip(numbers, turn.picks, marks, strict=False)
            ),
        )
        self._count += len(lines)

    def drop_contradictions(self) -> int:
        """Drop pairs that contradict another one; return how many."""
        return self._tables.run(
            "DELETE FROM pairs WHERE mark IN "
            "(SELECT mark FROM pairs GROUP BY mark HAVING min(side) < max(side))"
        ).rowcount

    def balance_lengths(self) -> int:
        """Drop pairs until length does not show which response was chosen; return how many."""
        balance = LengthBalance()
        for chosen, rejected in self._tables.rows("SELECT chosen, rejected FROM pairs"):
            balance.count(chosen, rejected)
        self._tables.run("CREATE TABLE unbalanced (number INTEGER PRIMARY KEY)")
        self._tables.add("INSERT INTO unbalanced VALUES (?)", self._unbalanced(balance))
        self._tables.run("DELETE FROM pairs WHERE number IN (SELECT number FROM unbalanced)")
        return balance.dropped

    def draw(self, most: int) -> int:
        """Drop pairs by the seed until at most `most` are left; return how many are dropped."""
        lowest = "SELECT number FROM pairs ORDER BY priority LIMIT ?"
        return self._tables.run(f"DELETE FROM pairs WHERE number NOT IN ({lowest})", most).rowcount

    def lines(self) -> Generator[bytes]:
        """Yield the lines of the pairs that are left, in order."""
        query = "SELECT line FROM pairs JOIN lines USING (number) ORDER BY number"
        with closing(self._tables.rows(query)) as rows:
            for (line,) in rows:
                yield line

    def close(self) -> None:
        """Drop the files."""
        self._tables.close()

    def _unbalanced(self, balance: LengthBalance) -> Iterator[tuple[int]]:
        query = "SELECT number, priority, chosen, rejected FROM pairs ORDER BY number"
        for number, priority, chosen, rejected in self._tables.rows(query):
            drawn = (priority + _SIGNED).to_bytes(8, "little")
            if not balance.keeps(drawn, chosen, rejected):
                yield (number,)

    def _priority(self, number: int) -> int:
        """Return 64 bits that the seed draws for a pair, as a signed number."""
        drawn = blake2b(self._seed + number.to_bytes(8, "little"), digest_size=8)
        return int.from_bytes(drawn.digest(), "little") - _SIGNED


def _marks_of(turn: CandidateGroup) -> Iterator[tuple[bytes, bool]]:
    """Yield for each pair a hash of prompt and both responses, and which of them is preferred."""
    prompt = prompt_key(turn.candidates[0].prompt)
    start = blake2b(len(prompt).to_bytes(8, "little") + prompt, digest_size=_DIGEST)
    digests: list[int] = []
    for text in turn.texts:
        drawn = start.copy()
        drawn.update(text)
        digests.append(int.from_bytes(drawn.digest(), "little"))
    for _, _, _, better, worse in turn.picks:
        one, other = digests[better], digests[worse]
        yield (one ^ other).to_bytes(_DIGEST, "little"), one > other
