"""LLaMA-Factory: its `sharegpt` ranking format for messages, `alpaca` for text.

Its reader skips, with a warning, a chat in which the roles do not take turns; such a pair is
refused here, where it is counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from plaudit.preferences.export.base import Format, row
from plaudit.preferences.export.shaping import (
    CannotCarryError,
    Columns,
    Shaped,
    content_of,
    messages_of,
    role_of,
)

_TAGS = {"user": b"human", "assistant": b"gpt", "system": b"system", "developer": b"system"}
_TURN = ("user", "assistant")


class LlamaFactory(Format):
    """`conversations`, `chosen`, `rejected`, or `instruction` for text; `dataset_info.json`."""

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return one row.

        Raises:
            CannotCarryError: the roles do not take turns.
        """
        if self.dataset.style == "plain":
            columns = (("instruction", pair.prompt), ("chosen", pair.chosen))
            return [row((*columns, ("rejected", pair.rejected)))]
        prompt = messages_of(pair.prompt)
        _check_turns(prompt)
        chosen, rejected = (_message(messages_of(d)[0]) for d in (pair.chosen, pair.rejected))
        said = b"[%b]" % b",".join(map(_message, prompt))
        return [row((("conversations", said), ("chosen", chosen), ("rejected", rejected)))]

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


def _check_turns(messages: Sequence[Columns]) -> None:
    roles = [role_of(message) for message in messages]
    if roles and _TAGS.get(roles[0]) == b"system":
        roles = roles[1:]
    if len(roles) % 2 == 0 or any(role != _TURN[i % 2] for i, role in enumerate(roles)):
        raise CannotCarryError("roles")


def _message(message: Columns) -> bytes:
    return row((("from", b'"%b"' % _TAGS[role_of(message)]), ("value", content_of(message))))
