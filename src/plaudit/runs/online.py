"""Updates of a policy from verdicts as users write: a running baseline for each user."""

import hashlib
import os
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from plaudit._util import disk
from plaudit._util.choices import check_choices
from plaudit._util.closing import Closing
from plaudit._util.ranges import FINITE, WHOLE_64, Range, check_ranges
from plaudit.errors import InputError, UsageError
from plaudit.io.partial import write_whole
from plaudit.types import Json, Verdict

_FORMAT = "plaudit online updates"
_SCHEMA = 1


class PolicyUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy learns from one turn."""

    number: int
    """Counts from 1. After a restart the same turn has the same number."""
    id: str
    """That of the verdict."""
    user: str
    advantage: float
    """`gate * (reward - baseline)`."""
    reward: float
    baseline: float
    """The mean reward of the user's turns before this one."""
    gate: float


class OnlineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How updates are made. They stand in the file of the state, and stay what they are there."""

    gate: Literal["status", "confidence"] = "status"
    """`status`: 1 for a verdict that passed the judge's gate. `confidence`: its confidence."""
    start: Annotated[float, FINITE] = 0.0
    """The baseline of a user's first turn."""
    horizon: Annotated[int | None, Range(1, WHOLE_64)] = None
    """The baseline follows about so many turns; None: it is the mean of all."""
    users: Annotated[int, Range(1, WHOLE_64)] = 10_000
    """Most users; the one whose last turn is longest ago is forgotten."""
    ids: Annotated[int, Range(1, WHOLE_64)] = 100_000
    """Most turns that are recognised when they come again."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ArgumentError: one is out of range, or none of its choices.
        """
        check_ranges(self)
        check_choices(self)


class _Baseline(msgspec.Struct, array_like=True):
    """The turns of a user so far, and their mean."""

    turns: int
    mean: float


class _State(msgspec.Struct, kw_only=True):
    """What the file holds."""

    format: str = _FORMAT
    schema: int = _SCHEMA
    options: OnlineOptions
    number: int = 0
    position: Json = None
    users: list[tuple[str, _Baseline]] = []
    """The one whose turn is longest ago first."""
    ids: list[str] = []
    """Short hashes of turns, the oldest first."""


class OnlineUpdate(Closing):
    """Turns verdicts into updates: `A = gate * (r - baseline)`, with a baseline for each user.

    ::

        with OnlineUpdate("online.json", applied=policy.number) as online:
            for verdict in judge.stream(rows):
                update = online.add(verdict, user="anna")
                if update is not None:
                    policy.learn(update)  # and keeps update.number with its weights
            online.save()

    The baseline is the mean of the rewards before (the baseline of REINFORCE, Williams 1992, as a
    running mean: Sutton and Barto 2018, 2.4). A verdict that is not `ok` changes nothing, and may
    come again.

    Each turn is applied once, also over a crash. `save` writes baselines, position and the turns
    that are known in one step. What came after the last `save` comes again, and gets the numbers
    and advantages that it had. A policy keeps the number of its last update with its weights, and
    gives it as `applied`: updates up to it change the baselines alone.

    Attributes:
        position: where the source is to be read on; any JSON. `save` keeps it.
    """

    def __init__(self, path: str | Path | None = None, *, applied: int = 0, **options: Any) -> None:
        """Begin, or go on with the state of a file.

        Args:
            path: the file of the state; it need not exist. None: nothing is kept.
            applied: number of the last update that the policy has learned from.
            options: fields of `OnlineOptions`, such as `gate="confidence"`; for a file that exists
                those that it was made with.

        Raises:
            InputError: the file is damaged, or of a newer plaudit.
            UsageError: an option is wrong, or is not what the file was made with; another process
                uses the file.
            StoreError: the file cannot be read or locked.
        """
        given = _options(options)
        self.path = None if path is None else Path(path)
        self._applied = applied
        self._lock = None if self.path is None else _locked(self.path)
        self._free = weakref.finalize(self, _unlock, self._lock)
        try:
            state = _State(options=given) if self.path is None else _read(self.path, given)
        except BaseException:
            self._free()
            raise
        self.options = state.options
        self.position = state.position
        self.number = state.number
        self._users = OrderedDict(state.users)
        self._ids = dict.fromkeys(state.ids)

    def add(self, verdict: Verdict, user: str) -> PolicyUpdate | None:
        """Take a verdict on the next turn of a user.

        Args:
            verdict: of any judge.
            user: whose baseline it is held against.

        Returns:
            The update; None where there is nothing to learn: the verdict is not `ok`, or the turn,
            known by user and id, was taken before.

        Raises:
            UsageError: the gate is the confidence, and an `ok` verdict has none; nothing changes.
        """
        key = hashlib.blake2b(f"{user}\0{verdict.id}".encode(errors="replace"), digest_size=12)
        turn = key.hexdigest()
        if verdict.reward is None or not verdict.should_update or turn in self._ids:
            return None
        gate = self._gate(verdict)
        self._ids[turn] = None
        if len(self._ids) > self.options.ids:
            del self._ids[next(iter(self._ids))]
        self.number += 1
        update = self._update(verdict, user, verdict.reward, gate)
        return update if self.number > self._applied else None

    def baseline(self, user: str) -> float:
        """Return what the next reward of a user is held against."""
        known = self._users.get(user)
        return self.options.start if known is None else known.mean

    def save(self) -> None:
        """Write the state: the whole of it, or none.

        Raises:
            StoreError: it cannot be written.
        """
        if self.path is None:
            return
        state = _State(
            options=self.options,
            number=self.number,
            position=self.position,
            users=list(self._users.items()),
            ids=list(self._ids),
        )
        write_whole(self.path, msgspec.json.encode(state) + b"\n")

    def close(self) -> None:
        """Free the file for other processes; nothing is saved."""
        self._free()

    async def aclose(self) -> None:
        """Do as `close` does."""
        self.close()

    def _gate(self, verdict: Verdict) -> float:
        if self.options.gate == "status":
            return 1.0
        if verdict.confidence is None:
            raise UsageError(
                f"the verdict {verdict.id!r} has no confidence: give gate='status', or a judge or "
                "readout that states one"
            )
        return verdict.confidence

    def _update(self, verdict: Verdict, user: str, reward: float, gate: float) -> PolicyUpdate:
        options = self.options
        known = self._users.pop(user, None) or _Baseline(0, options.start)
        before = known.mean
        turns = known.turns + 1
        weight = turns if options.horizon is None else min(turns, options.horizon)
        self._users[user] = _Baseline(turns, before + (reward - before) / weight)
        if len(self._users) > options.users:
            self._users.popitem(last=False)
        return PolicyUpdate(
            number=self.number,
            id=verdict.id,
            user=user,
            advantage=gate * (reward - before),
            reward=reward,
            baseline=before,
            gate=gate,
        )


def _options(given: dict[str, Any]) -> OnlineOptions:
    unknown = next((name for name in given if name not in OnlineOptions.__struct_fields__), None)
    if unknown is not None:
        known = ", ".join(OnlineOptions.__struct_fields__)
        raise UsageError(f"there is no option {unknown!r}; there are {known}")
    return OnlineOptions(**given)


def _read(path: Path, given: OnlineOptions) -> _State:
    """Read the state of a file, or begin one.

    Raises:
        InputError: it is damaged, or of a newer plaudit.
        UsageError: it was made with other options.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return _State(options=given)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    state = _decoded(path, data)
    for name in OnlineOptions.__struct_fields__:
        was, wanted = getattr(state.options, name), getattr(given, name)
        if was != wanted:
            raise UsageError(
                f"{path} was made with {name}={was!r}, not {wanted!r}: give that, or another file"
            )
    return state


def _decoded(path: Path, data: bytes) -> _State:
    try:
        head = msgspec.json.decode(data, type=dict[str, Any])
        if head.get("format") != _FORMAT:
            raise InputError(f"{path} holds no state of OnlineUpdate: give another path")
        if isinstance(head.get("schema"), int) and head["schema"] > _SCHEMA:
            raise InputError(
                f"{path} was written by a newer plaudit: upgrade with pip install -U plaudit"
            )
        return msgspec.convert(head, _State)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged ({error}): put back a copy, or move it away to begin anew"
        ) from None


def _locked(path: Path) -> int:
    """Take the lock of a state.

    Raises:
        UsageError: another process has it.
        StoreError: it cannot be made.
    """
    try:
        found = disk.lock(disk.lock_path(path))
    except OSError as error:
        raise disk.output_error(path, error) from error
    if found is None:
        raise UsageError(f"{path} is used by another process: end it, or give another path")
    return found


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
