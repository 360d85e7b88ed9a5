"""Which side of a split each example is on: by a seeded hash of its id, never by row.

The side of a group of near duplicates is that of one of its examples, drawn by a second hash, so
that large groups are no likelier on one side, and an example that joins n others is the one that
decides the side with a chance of 1 in n + 1.

At least one example is for validation, and of a small set at most half; where the hashes say
otherwise, those with the lowest are taken.
"""

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
from msgspec import Raw

from plaudit._util.options import Help
from plaudit._util.packages import load_package
from plaudit._util.ranges import Range, check_ranges
from plaudit.errors import InputError, UsageError
from plaudit.preferences.near_duplicates import NearDuplicates
from plaudit.preferences.types import Id

MOST_STRATA = 10_000
"""A column with more values is refused: it is no stratum."""

SMALL = 1_000
"""Of fewer examples at most half are for validation. Of more, chance alone sees to that, and an
example that is added moves no other one."""

_COMPACT = 2**20
_RANGE = 2**64
_NONE = "(none)"


class SplitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How examples are split."""

    val_fraction: Annotated[
        float,
        Range(0, 1, below=True),
        Help("Share of the examples for validation; 0 for no such file.", metavar="P"),
    ] = 0.2
    seed: Annotated[int, Help("Seed of the split.")] = 42
    strata: Annotated[
        str | None,
        Help(
            "Hold the fraction within each value of this column of the rows or their metadata.",
            metavar="COLUMN",
        ),
    ] = None
    near_duplicates: Annotated[
        bool,
        Help(
            "Keep examples whose prompts are almost the same on one side.",
            flags=("--near-duplicates/--no-near-duplicates",),
        ),
    ] = True

    def __post_init__(self) -> None:
        """Check what can be checked.

        Raises:
            ArgumentError: the fraction is out of range.
        """
        check_ranges(self)


class Split:
    """The sides of all examples of a `Splitter`."""

    def __init__(self, seed: int, keys: Any, validation: Any, sizes: Any) -> None:
        """Take the sorted keys, for each whether it is for validation, and the groups' sizes."""
        self._seed = seed
        self._keys = keys
        self._validation = validation
        self._last: Id | None = None
        self._last_side = False
        self.examples = len(keys)
        """Examples in all."""
        self.validation_examples = int(validation.sum())
        self.groups = int((sizes > 1).sum())
        """Groups of two and more examples whose prompts are near duplicates."""
        self.largest_group = int(sizes.max(initial=0))
        """Examples in the largest group."""
        self.hashed = self.validation_examples
        """Examples that the hashes alone put into the validation set."""
        self.strata: dict[str, tuple[int, int]] = {}
        """Examples for training and for validation, by stratum; empty without strata."""

    def in_validation(self, example_id: Id) -> bool:
        """Whether an example is for validation.

        Raises:
            InputError: the splitter has not seen it.
        """
        if example_id != self._last or type(example_id) is not type(self._last):
            key = example_key(example_id, self._seed)
            place = int(self._keys.searchsorted(self._keys.dtype.type(key)))
            if place == len(self._keys) or self._keys[place] != key:
                raise InputError(f"example {example_id!r} was not there when the split was made")
            self._last, self._last_side = example_id, bool(self._validation[place])
        return self._last_side


def example_key(example_id: Id, seed: int) -> int:
    """Return 64 bits that the seed draws for an example; the number 1 and the text "1" are two."""
    drawn = blake2b(f"{seed}/".encode(), digest_size=8)
    drawn.update(msgspec.json.encode(example_id))
    return int.from_bytes(drawn.digest(), "little")


def most_out(examples: int, fraction: float) -> int:
    """Return how many examples can be for validation."""
    return examples // 2 if fraction <= 0.5 and examples < SMALL else examples - 1


def within_bounds(
    keys: Sequence[int], sizes: Sequence[int], out: Sequence[bool], fraction: float
) -> list[bool]:
    """Return which groups are for validation: at least one, and not too many.

    Args:
        keys: a hash of each group; where too many are out, or none, those of the lowest are taken.
        sizes: the examples of each.
        out: whether its hash puts it into the validation set.
        fraction: the share that is wanted there, above 0. More than half of a small set are out
            only where the share is.
    """
    most = most_out(sum(sizes), fraction)
    if 1 <= sum(size for size, one in zip(sizes, out, strict=True) if one) <= most:
        return list(out)
    order = sorted(range(len(keys)), key=keys.__getitem__)
    kept, room = [False] * len(keys), most
    for place in order:
        if out[place] and sizes[place] <= room:
            kept[place] = True
            room -= sizes[place]
    first = next((place for place in order if sizes[place] <= most), None)
    if room == most and first is not None:
        kept[first] = True
    return kept


class Splitter:
    """Takes every pair, and then splits. 8 bytes an example, 12 with strata."""

    def __init__(self, options: SplitOptions) -> None:
        """Begin.

        Raises:
            MissingDependencyError: a package of the extra `preferences` is not installed.
        """
        self._np = load_package("numpy", "preferences")
        self._options = options
        self._keys = array("Q")
        self._strata = array("L")
        self._names: dict[str, int] = {}
        self._last: tuple[Id, type, bytes, str | None] | None = None
        self._compact_at = _COMPACT
        wanted = options.near_duplicates and options.val_fraction > 0
        self._prompts = NearDuplicates() if wanted else None

    def add(self, example_id: Id, prompt: Raw, stratum: str | None = None) -> None:
        """Take a pair's example, its prompt and its stratum; an example's first stratum counts.

        Raises:
            UsageError: there are more than `MOST_STRATA` strata.
        """
        seen = (example_id, type(example_id), bytes(prompt), stratum)
        if seen == self._last:
            return
        self._last = seen
        key = example_key(example_id, self._options.seed)
        self._keys.append(key)
        if self._options.strata is not None:
            self._strata.append(self._number(_NONE if stratum is None else stratum))
        if self._prompts is not None:
            self._prompts.add(key, prompt)
        if len(self._keys) >= self._compact_at:
            self._compact()
            self._compact_at = 2 * len(self._keys) + _COMPACT

    def split(self) -> Split:
        """Return the sides of all examples."""
        np, options = self._np, self._options
        self._compact()
        keys = np.frombuffer(self._keys, dtype=np.uint64) if self._keys else np.zeros(0, np.uint64)
        groups = np.arange(len(keys)) if self._prompts is None else self._prompts.groups(keys)
        leaders, sizes = self._leaders(keys, groups)
        if options.strata is None:
            cut = min(round(options.val_fraction * _RANGE), _RANGE - 1)
            validation = keys[leaders] < np.uint64(cut)
        else:
            validation = self._by_stratum(keys, leaders)
        hashed = int(validation.sum())
        if options.val_fraction and not 1 <= hashed <= most_out(len(keys), options.val_fraction):
            validation = self._within_bounds(keys, leaders, validation)
        split = Split(options.seed, keys, validation, sizes)
        split.hashed = hashed
        split.strata = self._reported(split, validation)
        return split

    def close(self) -> None:
        """Drop what was written to disk."""
        if self._prompts is not None:
            self._prompts.close()

    def _number(self, stratum: str) -> int:
        number = self._names.setdefault(stratum, len(self._names))
        if number >= MOST_STRATA:
            raise UsageError(
                f"column {self._options.strata!r} has more than {MOST_STRATA:,} values: give "
                "strata a column that few values share"
            )
        return number

    def _compact(self) -> None:
        """Sort the keys, and keep each once with its first stratum."""
        np = self._np
        keys = np.array(self._keys, dtype=np.uint64)
        unique, first = np.unique(keys, return_index=True)
        if self._strata:
            strata = np.array(self._strata, dtype=np.uint64)[first]
            self._strata = array("L", strata.astype(f"u{self._strata.itemsize}").tobytes())
        self._keys = array("Q", unique.tobytes())

    def _leaders(self, keys: Any, groups: Any) -> tuple[Any, Any]:
        """Return for each example the place of the one that decides its side; and group sizes."""
        np = self._np
        with np.errstate(over="ignore"):
            order = _mixed(np, keys)
        by_group = np.lexsort((order, groups))
        ordered = groups[by_group]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
        sizes = np.diff(np.r_[starts, len(ordered)])
        leaders = np.empty(len(keys), dtype=np.int64)
        leaders[by_group] = np.repeat(by_group[starts], sizes)
        return leaders, sizes

    def _by_stratum(self, keys: Any, leaders: Any) -> Any:
        """Take, within each stratum, the groups of the lowest hashes up to the fraction."""
        np = self._np
        strata = np.array(self._strata, dtype=np.int64)
        validation = np.zeros(len(keys), dtype=bool)
        reported, sizes = np.unique(leaders, return_counts=True)
        order = np.lexsort((keys[reported], strata[reported]))
        reported, sizes = reported[order], sizes[order]
        for number in range(len(self._names)):
            here = strata[reported] == number
            end = np.cumsum(sizes[here])
            wanted = self._options.val_fraction * (end[-1] if len(end) else 0)
            validation[reported[here]] = end - sizes[here] / 2 < wanted
        return validation[leaders]

    def _within_bounds(self, keys: Any, leaders: Any, validation: Any) -> Any:
        """Return other sides, of which neither is empty, where there are two groups."""
        np = self._np
        reported, places, sizes = np.unique(leaders, return_inverse=True, return_counts=True)
        groups = keys[reported].tolist(), sizes.tolist(), validation[reported].tolist()
        return np.array(within_bounds(*groups, self._options.val_fraction), dtype=bool)[places]

    def _reported(self, split: Split, validation: Any) -> dict[str, tuple[int, int]]:
        np = self._np
        if not self._names or not split.examples:
            return {}
        strata = np.array(self._strata, dtype=np.int64)
        out = np.bincount(strata[validation], minlength=len(self._names)).tolist()
        every = np.bincount(strata, minlength=len(self._names)).tolist()
        return {name: (every[i] - out[i], out[i]) for name, i in self._names.items()}


def _mixed(np: Any, keys: Any) -> Any:
    """Return other 64 bits for each key: the finaliser of splitmix64 (Steele et al. 2014)."""
    mixed = keys + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
