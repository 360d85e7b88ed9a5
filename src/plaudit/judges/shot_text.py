"""How shots are shown: as the shipped templates show them, or by templates of the user's own."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import msgspec

from plaudit.engines.base import Completion, Mode
from plaudit.errors import InputError, ReplyError, TemplateError
from plaudit.judges import json_reply
from plaudit.judges.readout import Option
from plaudit.judges.shots import Shot
from plaudit.prompts.template import STATIC_VARIABLES, Snippet, Template, read_template
from plaudit.types import Json

TemplateChoice = str | dict[Mode, str] | None
"""Path of a template for the mode that is settled on, or paths by mode."""

_SHOT = frozenset({"reply"})
_SHOT_OPTIONAL = (STATIC_VARIABLES - {"shots"}) | {"text", "label", "word"}
_REPLY_VARIABLES = frozenset({"feedback", "label", "word", "json"})


class ReadsReplies(Protocol):
    """What must be known of a judge to check a shot's reply."""

    def read_reply(self, reply: Mapping[str, Any]) -> object:
        """Read the object of the json readout."""
        ...


def template_path(choice: TemplateChoice, mode: Mode) -> str | None:
    """Return the path of the template for a mode; None: the shipped one."""
    return choice.get(mode) if isinstance(choice, dict) else choice


def shot_snippet(choice: TemplateChoice, mode: Mode, variables: frozenset[str]) -> Snippet | None:
    """Return the user's template of one shot.

    It shows the sample, by its variables or by `text`, and then `reply`.

    Raises:
        TemplateError: it cannot be used.
    """
    path = template_path(choice, mode)
    if path is None:
        return None
    source = read_template(path)
    snippet = Snippet(source, path, _SHOT, _SHOT_OPTIONAL | variables)
    if "text" in snippet.uses:
        return snippet
    return Snippet(source, path, _SHOT | variables, _SHOT_OPTIONAL)


def feedback_snippet(
    choice: TemplateChoice, mode: Mode, fields: Mapping[str, Any]
) -> Snippet | None:
    """Return the user's template of a shot's reply.

    Raises:
        TemplateError: it cannot be used.
    """
    path = template_path(choice, mode)
    if path is None:
        return None
    snippet = Snippet(read_template(path), path, frozenset(), _REPLY_VARIABLES)
    if not snippet.uses:
        raise TemplateError(
            f"{path}: it shows nothing of the feedback; use one of "
            + ", ".join(sorted(_REPLY_VARIABLES))
        )
    snippet.check_fields("feedback", fields)
    return snippet


class ShotText:
    """Turns shots into what a template sees, each once."""

    def __init__(
        self,
        judge: ReadsReplies,
        template: Template,
        shot: Snippet | None,
        feedback: Snippet | None,
        options: tuple[Option, ...],
        as_json: bool,
        escape: Callable[[str], str],
    ) -> None:
        """Put together what shows a shot.

        Args:
            judge: reads replies.
            template: of the whole; its sample block shows a shot's sample.
            shot: template of one shot, where the user has one.
            feedback: template of the reply in it, where the user has one.
            options: of the judge.
            as_json: whether replies are objects; else they are option words.
            escape: breaks what could forge a section.
        """
        self._judge = judge
        self._template = template
        self._shot = shot
        self._feedback = feedback
        self._words = {option.label: option.word for option in options}
        self._as_json = as_json
        self._escape = escape
        self._shown: dict[str, dict[str, Any]] = {}

    def show(
        self, shot: Shot, fields: Mapping[str, Any], static: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return a shot as a template sees it: its fields, the sample as rendered, the reply.

        Raises:
            TemplateError: a template of the user's gives what the judge could not read.
            InputError: the shot has no reply to show.
        """
        known = self._shown.get(shot.where)
        if known is None:
            known = self._shown[shot.where] = self._show(shot, fields, static)
        return known

    def _show(
        self, shot: Shot, fields: Mapping[str, Any], static: Mapping[str, Any]
    ) -> dict[str, Any]:
        text, reply = self._template.sample(fields, static), self._reply(shot)
        if self._shot is not None:
            word = self._words[shot.label]
            own = {**static, **fields, "text": text, "label": shot.label, "word": word}
            text, reply = _split(self._shot, own, reply)
        return {**fields, "text": text, "reply": reply}

    def _reply(self, shot: Shot) -> str:
        word = self._words[shot.label]
        if self._as_json and shot.feedback is None:
            raise InputError(
                f"{shot.where}: it has a label but no 'feedback', which the json readout shows; "
                "give it, or use --readout logprob"
            )
        feedback = _escape_all(shot.feedback, self._escape)
        if self._feedback is None:
            return msgspec.json.encode(feedback).decode() if self._as_json else word
        variables: dict[str, Any] = {"label": shot.label, "word": word}
        if feedback is not None:
            variables |= {"feedback": feedback, "json": msgspec.json.encode(feedback).decode()}
        reply = self._feedback.render(variables)
        self._check(self._feedback, shot, reply)
        return reply

    def _check(self, template: Snippet, shot: Shot, reply: str) -> None:
        """Refuse a reply that the judge could not read: the model would learn to give such."""
        if not self._as_json:
            word = self._words[shot.label]
            if not reply.strip().casefold().startswith(word):
                raise TemplateError(
                    f"{template.name}: for {shot.where} it gives {reply[:40]!r}, but the logprob "
                    f"readout reads the first word, which must be {word!r}"
                )
            return
        try:
            self._judge.read_reply(json_reply.read_object(Completion(text=reply)))
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


def _escape_all(value: Json, escape: Callable[[str], str]) -> Json:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Json]", value).items()
        return {name: _escape_all(inner, escape) for name, inner in items}
    if isinstance(value, list):
        return [_escape_all(inner, escape) for inner in cast("list[Json]", value)]
    return value
