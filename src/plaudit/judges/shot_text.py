"""How shots are shown: as the shipped templates show them, or by templates of the user's own."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from plaudit.engines.base import Completion, Mode
from plaudit.errors import InputError, ReplyError, TemplateError
from plaudit.judges import json_reply
from plaudit.judges.kind import JudgeKind
from plaudit.judges.shots import Shot
from plaudit.prompts.template import STATIC_VARIABLES, Snippet, TemplateChoice, read_template

_SHOT = frozenset({"reply"})
_SHOT_OPTIONAL = (STATIC_VARIABLES - {"shots"}) | {"text", "label", "word"}
_REPLY_VARIABLES = frozenset({"feedback", "label", "word", "json"})

Snippets = tuple[Snippet | None, Snippet | None]
"""The user's templates of one shot and of the reply in it."""

Render = Callable[[Shot], tuple[dict[str, Any], str]]
"""Returns a shot's escaped variables, and its sample as the template renders it."""


def read_snippets(
    shot: TemplateChoice, feedback: TemplateChoice, mode: Mode, kind: JudgeKind
) -> Snippets:
    """Return the user's templates of a shot and of its reply, where there are any.

    Raises:
        TemplateError: one cannot be used.
    """
    shot_path, reply_path = template_path(shot, mode), template_path(feedback, mode)
    return (
        None if shot_path is None else _shot_snippet(shot_path, kind.variables),
        None if reply_path is None else _reply_snippet(reply_path, kind),
    )


def template_path(choice: TemplateChoice, mode: Mode) -> str | None:
    """Return the path of the template for a mode; None: the judge's own."""
    return choice.get(mode) if isinstance(choice, dict) else choice


def _shot_snippet(path: str, variables: frozenset[str]) -> Snippet:
    """Return the template of one shot: the sample, by its variables or by `text`, then `reply`."""
    source = read_template(path)
    snippet = Snippet(source, path, _SHOT, _SHOT_OPTIONAL | variables)
    if "text" in snippet.uses:
        return snippet
    return Snippet(source, path, _SHOT | variables, _SHOT_OPTIONAL)


def _reply_snippet(path: str, kind: JudgeKind) -> Snippet:
    snippet = Snippet(read_template(path), path, frozenset(), _REPLY_VARIABLES)
    if not snippet.uses:
        raise TemplateError(
            f"{path}: it shows nothing of the feedback; use one of "
            + ", ".join(sorted(_REPLY_VARIABLES))
        )
    snippet.check_fields("feedback", kind.reply_schema()["properties"])
    return snippet


class ShotText:
    """Turns shots into what a template sees, each once."""

    def __init__(
        self,
        kind: JudgeKind,
        snippets: Snippets,
        render: Render,
        static: Mapping[str, Any],
        escape: Callable[[Any], Any],
    ) -> None:
        """Prepare.

        Args:
            kind: reads replies.
            snippets: see `Snippets`.
            render: see `Render`.
            static: variables that a template sees beside the sample; `readout` among them.
            escape: breaks what could forge a section, in all texts of a value.
        """
        self._kind = kind
        self._shot, self._feedback = snippets
        self._render = render
        self._static = static
        self._escape = escape
        self._words = {option.label: option.word for option in kind.options}
        self._as_json = static["readout"] == "json"
        self._shown: dict[str, dict[str, Any]] = {}

    def show(self, shot: Shot) -> dict[str, Any]:
        """Return a shot as a template sees it: its fields, the sample as rendered, the reply.

        Raises:
            TemplateError: a template of the user's makes a reply that the judge cannot read.
            InputError: the shot has no reply to show.
        """
        known = self._shown.get(shot.where)
        if known is None:
            known = self._shown[shot.where] = self._show(shot)
        return known

    def _show(self, shot: Shot) -> dict[str, Any]:
        fields, text = self._render(shot)
        reply = self._reply(shot)
        if self._shot is not None:
            word = self._words[shot.label]
            own = {**self._static, **fields}
            own |= {"text": text, "label": shot.label, "word": word}
            text, reply = _split(self._shot, own, reply)
        return {**fields, "text": text, "reply": reply}

    def _reply(self, shot: Shot) -> str:
        word = self._words[shot.label]
        if self._as_json and shot.feedback is None:
            raise InputError(
                f"{shot.where}: it has a label but no 'feedback', which the json readout shows; "
                'give it, or use readout="logprob"'
            )
        feedback = self._escape(shot.feedback)
        if self._feedback is None:
            return msgspec.json.encode(feedback).decode() if self._as_json else word
        variables: dict[str, Any] = {"label": shot.label, "word": word}
        if feedback is not None:
            variables |= {"feedback": feedback, "json": msgspec.json.encode(feedback).decode()}
        reply = self._feedback.render(variables)
        self._check(self._feedback, shot, reply)
        return reply

    def _check(self, template: Snippet, shot: Shot, reply: str) -> None:
        """Refuse a reply that the judge cannot read: the model would learn to give such replies."""
        if not self._as_json:
            word = self._words[shot.label]
            if not reply.strip().casefold().startswith(word):
                raise TemplateError(
                    f"{template.name}: for {shot.where} it gives {reply[:40]!r}, but the logprob "
                    f"readout reads the first word, which must be {word!r}"
                )
            return
        try:
            self._kind.read_reply(json_reply.read_object(Completion(text=reply)))
        except ReplyError as error:
            raise TemplateError(
                f"{template.name}: for {shot.where} it gives a reply that the json readout cannot "
                f"read: {error}"
            ) from None


def _split(template: Snippet, variables: dict[str, Any], reply: str) -> tuple[str, str]:
    """Render a shot, and cut it where its reply begins."""
    slot = "\0reply\0"
    while any(slot in value for value in variables.values() if isinstance(value, str)):
        slot += "\0"
    parts = template.render(variables | {"reply": slot}).split(slot)
    if len(parts) != 2:
        raise TemplateError(
            f"{template.name}: 'reply' must be shown once, not {len(parts) - 1} times"
        )
    return parts[0].removesuffix(" "), reply + parts[1]
