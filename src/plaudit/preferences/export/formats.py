"""The formats of trainers, in one table."""

from array import array
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw

from plaudit._util.packages import load_package
from plaudit.errors import UsageError
from plaudit.preferences.export.arrow import DatasetsFolder
from plaudit.preferences.export.base import Columns, Dataset, TrainerFormat, row
from plaudit.preferences.export.shaping import (
    CannotCarryError,
    Carries,
    Message,
    Shaped,
    Style,
    content_of,
    joined,
    messages_of,
    role_of,
)
from plaudit.preferences.formats.rows import PairRow
from plaudit.preferences.texts import prompt_key, response_key

_COMPACT = 2**20


def _pair_columns(pair: Shaped, style: Style) -> Columns:
    return ("prompt", pair.prompt), ("chosen", pair.chosen), ("rejected", pair.rejected)


# TRL: DPOTrainer, KTOTrainer, RewardTrainer, SFTTrainer

# Images would have to be in a column of their own: the trainers do not look into parts.
_TRL = Carries(content="parts", calls=True, tools=True, turns=True, fields=True)


class TrlPairs(TrainerFormat):
    """A pair a row.

    Tools are JSON text, which the trainers decode. Arrow, which wants the same fields in every row,
    would fill objects up with nulls.
    """

    def __init__(self, columns: Callable[[Shaped, Style], Columns]) -> None:
        super().__init__(columns, carries=_TRL)

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return one row."""
        return [self._row(pair, self._columns(pair, self.dataset.style))]

    def _row(self, pair: Shaped, columns: Columns) -> bytes:
        if not self.dataset.tools:
            return row(columns)
        tools = b"null" if pair.tools is None else msgspec.json.encode(pair.tools.decode())
        return row((*columns, ("tools", tools)))


def _reward_columns(pair: Shaped, style: Style) -> Columns:
    """Return `chosen` and `rejected`, the prompt in both."""
    chosen, rejected = joined(pair.prompt, pair.chosen), joined(pair.prompt, pair.rejected)
    return ("chosen", chosen), ("rejected", rejected)


class TrlResponses(TrlPairs):
    """`prompt` and `completion`: a response a row, each once.

    With labels: chosen and rejected responses, and whether a response was chosen more often than
    rejected. Without: chosen responses.
    """

    def __init__(self, *, labels: bool) -> None:
        super().__init__(_pair_columns)
        self._labels = labels
        self._ledger = Ledger()

    def count(self, pair: PairRow) -> None:
        """See `TrainerFormat`."""
        self._ledger.count(pair)

    def begin(self, dataset: Dataset) -> None:
        """See `TrainerFormat`."""
        super().begin(dataset)
        self._ledger.close()

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Yield a row for each response that had none yet."""
        sides = ((pair.row.chosen, pair.chosen), (pair.row.rejected, pair.rejected))
        for raw, data in sides[: 1 + self._labels]:
            wins = self._ledger.first(pair.row, raw)
            if wins is None:
                continue
            if wins == 0 and self._labels:
                self.ties += 1
                continue
            label = (("label", b"true" if wins > 0 else b"false"),) if self._labels else ()
            yield self._row(pair, (("prompt", pair.prompt), ("completion", data), *label))


class Ledger:
    """Counts how often each response was chosen and rejected, and lets each through once.

    A response is what it says to one prompt of one example. 24 bytes a response.
    """

    def __init__(self) -> None:
        """Begin.

        Raises:
            MissingDependencyError: `numpy` is not installed.
        """
        self._np = load_package("numpy", "preferences")
        self._keys = array("Q")
        self._wins = array("q")
        self._compact_at = _COMPACT
        self._passed: Any = None

    def count(self, pair: PairRow) -> None:
        """Count the responses of a pair."""
        self._keys.extend((_key(pair, pair.chosen), _key(pair, pair.rejected)))
        self._wins.extend((1, -1))
        if len(self._keys) >= self._compact_at:
            self._compact()
            self._compact_at = 2 * len(self._keys) + _COMPACT

    def close(self) -> None:
        """End the counting."""
        self._compact()
        self._passed = self._np.zeros(len(self._keys), dtype=bool)

    def first(self, pair: PairRow, response: Raw) -> int | None:
        """Return how much more often a response was chosen than rejected; None if asked before."""
        np = self._np
        keys = np.frombuffer(self._keys, dtype=np.uint64)
        place = int(keys.searchsorted(np.uint64(_key(pair, response))))
        if self._passed[place]:
            return None
        self._passed[place] = True
        return self._wins[place]

    def _compact(self) -> None:
        np = self._np
        keys, places = np.unique(np.array(self._keys, dtype=np.uint64), return_inverse=True)
        wins = np.zeros(len(keys), dtype=np.int64)
        np.add.at(wins, places, np.array(self._wins, dtype=np.int64))
        self._keys, self._wins = array("Q", keys.tobytes()), array("q", wins.tobytes())


def _key(pair: PairRow, response: Raw) -> int:
    drawn = blake2b(msgspec.json.encode(pair.example_id), digest_size=8)
    for data in (prompt_key(pair.prompt), response_key(response)):
        drawn.update(len(data).to_bytes(8, "little"))
        drawn.update(data)
    return int.from_bytes(drawn.digest(), "little")


# NVIDIA: the files of NeMo Customizer, and the preference data of NeMo RL


def _customizer_columns(pair: Shaped, style: Style) -> Columns:
    """Return `prompt`, text or messages; `chosen_response` and `rejected_response`, text."""
    chosen, rejected = (_response_text(data) for data in (pair.chosen, pair.rejected))
    return ("prompt", pair.prompt), ("chosen_response", chosen), ("rejected_response", rejected)


def _response_text(data: bytes) -> bytes:
    return data if data[:1] == b'"' else content_of(messages_of(data)[0])


def _nemo_rl_columns(pair: Shaped, style: Style) -> Columns:
    """Return `context`, and `completions` with their ranks, of which 0 is the best."""
    ranked = b",".join(
        b'{"rank":%d,"completion":%b}' % (rank, data)
        for rank, data in enumerate((pair.chosen, pair.rejected))
    )
    return ("context", pair.prompt), ("completions", b"[%b]" % ranked)


# LLaMA-Factory: its `sharegpt` ranking format for messages, `alpaca` for text

_TAGS = {"user": b"human", "assistant": b"gpt", "system": b"system", "developer": b"system"}
_TURN = ("user", "assistant")


class LlamaFactory(TrainerFormat):
    """`conversations`, `chosen`, `rejected`, or `instruction` for text; `dataset_info.json`."""

    def __init__(self) -> None:
        super().__init__(_llama_columns)

    def extra_files(self) -> Mapping[str, bytes]:
        """Return the description that its reader looks for."""
        files = {"train": self.train}
        if self.dataset.validation:
            files["validation"] = self.validation
        info = {f"plaudit_{name}": self._described(file) for name, file in files.items()}
        return {"dataset_info.json": msgspec.json.format(msgspec.json.encode(info)) + b"\n"}

    def _described(self, file: str) -> dict[str, Any]:
        answers = {"chosen": "chosen", "rejected": "rejected"}
        if self.dataset.style == "plain":
            columns = {"prompt": "instruction"} | answers
            return {"file_name": file, "ranking": True, "columns": columns}
        columns = {"messages": "conversations"} | answers
        described = {"file_name": file, "formatting": "sharegpt", "ranking": True}
        return described | {"columns": columns}


def _llama_columns(pair: Shaped, style: Style) -> Columns:
    """Return a row; its reader skips a chat in which the roles do not take turns."""
    if style == "plain":
        return ("instruction", pair.prompt), ("chosen", pair.chosen), ("rejected", pair.rejected)
    prompt = messages_of(pair.prompt)
    roles = [role_of(message) for message in prompt]
    if roles and _TAGS.get(roles[0]) == b"system":
        roles = roles[1:]
    if len(roles) % 2 == 0 or any(role != _TURN[i % 2] for i, role in enumerate(roles)):
        raise CannotCarryError("roles")
    chosen, rejected = (_tagged(messages_of(d)[0]) for d in (pair.chosen, pair.rejected))
    said = b"[%b]" % b",".join(map(_tagged, prompt))
    return ("conversations", said), ("chosen", chosen), ("rejected", rejected)


def _tagged(message: Message) -> bytes:
    return row((("from", b'"%b"' % _TAGS[role_of(message)]), ("value", content_of(message))))


# Axolotl, `rl: dpo`: `chat_template.default` for messages, `user_defined.default` for text

_ROLES = {"system", "user", "assistant"}


def _axolotl_columns(pair: Shaped, style: Style) -> Columns:
    """Return `messages`, and `chosen` and `rejected` of one message each; or three texts."""
    if style == "plain":
        return _pair_columns(pair, style)
    if not {role_of(message) for message in messages_of(pair.prompt)} <= _ROLES:
        raise CannotCarryError("roles")
    chosen, rejected = (data[1:-1].strip() for data in (pair.chosen, pair.rejected))
    return ("messages", pair.prompt), ("chosen", chosen), ("rejected", rejected)


FORMATS: dict[str, Callable[[], TrainerFormat]] = {
    "trl-dpo": lambda: TrlPairs(_pair_columns),
    "trl-kto": lambda: TrlResponses(labels=True),
    "trl-reward": lambda: TrlPairs(_reward_columns),
    "trl-sft": lambda: TrlResponses(labels=False),
    "nemo-customizer": lambda: TrainerFormat(
        _customizer_columns,
        train="training/training_file.jsonl",
        validation="validation/validation_file.jsonl",
    ),
    "nemo-rl": lambda: TrainerFormat(
        _nemo_rl_columns, carries=Carries(turns=True), styles=("conversational",)
    ),
    # `train_dpo` and `train_rm` with `--prompt_key prompt`; messages need `--apply_chat_template`.
    "openrlhf": lambda: TrainerFormat(_pair_columns, carries=Carries(turns=True)),
    "llama-factory": LlamaFactory,
    "axolotl": lambda: TrainerFormat(_axolotl_columns),
    "datasets": DatasetsFolder,
}


def load_format(name: str) -> TrainerFormat:
    """Return a format, ready for one export.

    Raises:
        UsageError: there is none of that name.
    """
    made = FORMATS.get(name)
    if made is None:
        raise UsageError(f"unknown format {name!r}: give one of {', '.join(FORMATS)}")
    return made()
