"""Prompts that are almost the same: MinHash sketches on disk, joined band by band.

A sketch (Broder 1997) is `datasketch`'s; two prompts whose sketches agree in a band are compared,
and those that agree in `SIMILARITY` of all values are one group, and so are those linked by
others (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, 3.4). `datasketch` keeps its own
index in memory, several kilobytes a prompt; here a band is sorted at a time instead.
"""

from collections.abc import Iterator
from typing import Any, cast
from zlib import crc32

import msgspec
from msgspec import Raw

from plaudit._util.packages import load_package
from plaudit.io.scratch import close_scratch, open_scratch, scratch_error

SIMILARITY = 0.8
"""Share of the character 5-grams of two prompts that both have, from which on they are grouped."""

_VALUES = 64
_BANDS, _ROWS = 12, 5  # 0.99 of the pairs at 0.8 share a band, and 0.32 of those at 0.5.
_GRAM = 5
_BATCH = 10_000
_ROUNDS = 8
_RECENT = 2**18  # prompts that are not sketched twice, where an example's pairs are apart
_INSTRUCTIONS = ("system", "developer")


class NearDuplicates:
    """Sketches of prompts, and which examples they join.

    Sketches, 264 bytes a prompt, are in a file without a name; joining takes about 130 bytes of
    memory a prompt, beside what is mapped of the file.
    """

    def __init__(self) -> None:
        """Open the file.

        Raises:
            MissingDependencyError: `datasketch` or `numpy` is not installed.
            StoreError: it cannot be made.
        """
        self._np = load_package("numpy", "preferences")
        minhash = load_package("datasketch", "preferences").MinHash
        self._empty = minhash(num_perm=_VALUES, seed=1, hashfunc=_hash, scheme="affine32")
        self._file = open_scratch()
        self._recent: set[int] = set()

    def add(self, key: int, prompt: Raw) -> None:
        """Add a prompt of the example that has this key.

        Raises:
            StoreError: there is no room for it.
        """
        mark = hash((key, bytes(prompt)))
        if mark in self._recent:
            return
        if len(self._recent) >= _RECENT:
            self._recent.clear()
        self._recent.add(mark)
        sketch = self._empty.copy()
        grams = _grams(prompt_text(prompt))
        for start in range(0, len(grams), _BATCH):
            sketch.update_batch(grams[start : start + _BATCH])
        try:
            self._file.write(key.to_bytes(8, "little"))
            self._file.write(sketch.hashvalues.astype("<u4").tobytes())
        except OSError as error:
            raise scratch_error(error) from error

    def groups(self, keys: Any) -> Any:
        """Return a group's number for each example.

        Args:
            keys: of all examples, sorted, each once.

        Returns:
            The place among `keys` of one example of the group, for each.

        Raises:
            StoreError: there was no room for the last prompts.
        """
        np = self._np
        try:
            self._file.flush()
        except OSError as error:
            raise scratch_error(error) from error
        kind = np.dtype([("key", "<u8"), ("sketch", "<u4", (_VALUES,))])
        if self._file.tell() == 0:
            return np.arange(len(keys))
        found = np.memmap(self._file, dtype=kind, mode="r")
        places = np.searchsorted(keys, found["key"])
        joined = _Joined(len(keys))
        for band in range(_BANDS):
            for run in self._alike(found["sketch"], band):
                self._join(found["sketch"], places, run, joined)
        return np.array([joined.root(place) for place in range(len(keys))], dtype=np.int64)

    def close(self) -> None:
        """Drop the file."""
        close_scratch(self._file)

    def _alike(self, sketches: Any, band: int) -> Iterator[Any]:
        """Yield the rows that agree in a band, for each two or more that do."""
        np = self._np
        values = np.zeros(len(sketches), dtype=np.uint64)
        for column in range(band * _ROWS, (band + 1) * _ROWS):
            values = values * np.uint64(0x9E3779B97F4A7C15) + sketches[:, column]
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        ends = np.r_[starts[1:], len(ordered)]
        for at in np.flatnonzero(ends - starts > 1).tolist():
            yield order[starts[at] : ends[at]]

    def _join(self, sketches: Any, places: Any, run: Any, joined: "_Joined") -> None:
        """Join the rows of a run that are like its first; then the others among themselves."""
        for _ in range(_ROUNDS):
            roots = {joined.root(place) for place in places[run].tolist()}
            if len(roots) < 2:
                return
            like = (sketches[run] == sketches[run[0]]).mean(axis=1) >= SIMILARITY
            first = int(places[run[0]])
            for place in places[run[like]].tolist():
                joined.join(first, place)
            run = run[~like]
            if len(run) < 2:
                return


class _Joined:
    """Which things are in one group."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, one: int) -> int:
        parents = self._parents
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        return one

    def join(self, one: int, other: int) -> None:
        a, b = self.root(one), self.root(other)
        self._parents[max(a, b)] = min(a, b)


def prompt_text(prompt: Raw) -> str:
    """Return the text of a prompt without its instructions.

    Instructions of the system are often longer than the question, and the same for all.
    """
    value: Any = msgspec.json.decode(prompt)
    if isinstance(value, list):
        value = cast("list[Any]", value)
        asked = [one for one in value if not _instructs(one)]
        value = "\n".join(_text_of(one) for one in asked or value)
    return " ".join(_text_of(value).casefold().split())


def _instructs(message: Any) -> bool:
    return isinstance(message, dict) and cast("Any", message).get("role") in _INSTRUCTIONS


def _text_of(value: Any) -> str:
    """Return the text of a message, of a part of one, or of any value."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        inner = fields.get("content") or fields.get("text")
        if inner and not fields.get("tool_calls"):
            return _text_of(inner)
    if isinstance(value, list):
        return "\n".join(map(_text_of, cast("list[Any]", value)))
    return msgspec.json.encode(value, order="sorted").decode()


def _grams(text: str) -> list[str]:
    return list({text[i : i + _GRAM] for i in range(max(len(text) - _GRAM + 1, 1))})


def _hash(gram: str) -> int:
    return crc32(gram.encode("utf-8", "surrogatepass"))
