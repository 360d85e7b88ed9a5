"""What a model is asked to write questions, and how its reply is read."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from plaudit.corpus.checks import Draft
from plaudit.corpus.layout import Chunk
from plaudit.engines.base import Completion, Engine, Mode, Request, Sampling, Schema, engine_info
from plaudit.errors import Cause, ReplyError, UsageError
from plaudit.judges import json_reply
from plaudit.prompts.escape import Escaper, unescape
from plaudit.prompts.template import Template, builtin
from plaudit.types import Message

DIFFICULTIES = ("easy", "medium", "hard")
_BESIDE = 600
"""Characters of each neighbour that are shown: those next to the passage."""
_TURN = "questions"
_VARIABLES = frozenset({"count", "place", "before", "passage", "after"})


class Questioner:
    """Makes the requests for one model."""

    def __init__(self, engine: Engine, per_chunk: int, max_tokens: int) -> None:
        """Prepare the prompt.

        Args:
            engine: who is asked.
            per_chunk: most questions about a chunk.
            max_tokens: most tokens of a reply.

        Raises:
            UsageError: the engine writes no text.
        """
        if engine.capabilities.scores:
            raise UsageError(f"{engine.uri} gives scores and writes no text: name another --engine")
        self._template = Template(builtin("questions"), "questions", _VARIABLES)
        special = engine_info(engine).special_tokens
        self._escape = Escaper(self._template.delimiters, special).escape
        self._mode: Mode = engine.capabilities.default_mode
        self._static = self._template.instructions({"count": per_chunk})
        self._sampling = Sampling(max_tokens=max_tokens)
        self._schema = Schema("questions", msgspec.Raw(msgspec.json.encode(_schema(per_chunk))))
        self.per_chunk = per_chunk

    def request(self, chunk: Chunk, before: str, after: str) -> Request:
        """Return what is asked about a chunk, given the texts of its neighbours."""
        escape = self._escape
        shown = self._template.sample(
            {
                "place": escape(chunk.place),
                "before": escape(before[-_BESIDE:].strip() or "(nothing)"),
                "after": escape(after[:_BESIDE].strip() or "(nothing)"),
                "passage": escape(chunk.text),
            }
        )
        static = self._static
        chat = (Message("system", static.strip()), Message("user", shown.strip()))
        return Request(
            prompt=chat if self._mode == "chat" else f"{static}{shown}",
            sampling=self._sampling,
            schema=self._schema,
            shared=1 if self._mode == "chat" else len(static),
            sample_id=chunk.id,
            turn=_TURN,
        )

    def again(self, request: Request, reply: Completion, error: ReplyError) -> Request:
        """Return what is asked where a reply could not be used."""
        return json_reply.repair_request(request, reply, error, self._escape, "shorter, ")


def read_drafts(reply: Completion) -> list[Draft | None]:
    """Return the questions of a reply; None for an entry that is none.

    Raises:
        ReplyError: the reply has no list of questions, or all that is in it are none.
    """
    entries: Any = json_reply.read_object(reply).get("questions")
    if not isinstance(entries, list):
        raise ReplyError(Cause.UNPARSEABLE, "the reply has no list of questions")
    drafts = [_draft(entry) for entry in cast("list[Any]", entries)]
    if drafts and not any(drafts):
        raise ReplyError(Cause.UNPARSEABLE, "nothing in the list of the reply is a question")
    return drafts


def _draft(entry: Any) -> Draft | None:
    try:
        draft = msgspec.convert(entry, Draft)
    except msgspec.ValidationError:
        return None
    difficulty = draft.difficulty.strip().lower()
    return Draft(
        question=_plain(draft.question),
        answer=_plain(draft.answer),
        supporting_text=unescape(draft.supporting_text).strip(),
        difficulty=difficulty if difficulty in DIFFICULTIES else "",
    )


def _plain(text: str) -> str:
    return " ".join(unescape(text).split())


def _schema(per_chunk: int) -> Mapping[str, Any]:
    entry = {
        "type": "object",
        "properties": {
            "question": {"type": "string", "maxLength": 300},
            "answer": {"type": "string", "maxLength": 200},
            "supporting_text": {"type": "string", "maxLength": 300},
            "difficulty": {"type": "string", "enum": list(DIFFICULTIES)},
        },
        "required": ["question", "answer", "supporting_text", "difficulty"],
        "additionalProperties": False,
    }
    questions = {"type": "array", "maxItems": per_chunk, "items": entry}
    return {
        "type": "object",
        "properties": {"questions": questions},
        "required": ["questions"],
        "additionalProperties": False,
    }
