"""Prompts of one judge: template, shots, and what comes before a sample."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from plaudit.engines.base import Mode, Request, Sampling
from plaudit.errors import TemplateError
from plaudit.judges import content
from plaudit.judges.config import EngineFacts, JudgeConfig, Settled
from plaudit.judges.kind import JudgeKind, Untrusted, folder_of
from plaudit.judges.shot_text import ShotText, read_snippets, template_path
from plaudit.judges.shots import Shot, ShotSet, choose_shots
from plaudit.prompts.escape import Escaper
from plaudit.prompts.template import Template, builtin, read_template
from plaudit.types import Json, Message, Sample

_AFFINITY = 512
"""Characters of a sample by which prompts count as alike."""
_OPENINGS = 256
"""Most beginnings of prompts that are kept, where samples have shots of their own."""
_STOPS = 4
"""Most stop texts of a request in completion mode."""


class Opening(msgspec.Struct, frozen=True):
    """What comes before a sample in its prompt."""

    variables: dict[str, Any]
    """What the template sees beside the sample."""
    text: str
    """The rendered instructions, with the shots that they show."""
    messages: tuple[Message, ...]
    """The same in chat mode, with the shots that are turns of their own."""
    shared: int
    """See `Request.shared`."""
    affinity: str = ""
    """See `Request.affinity`; empty: the sample says it."""


class PromptBuilder:
    """Renders the prompts of one judge.

    Attributes:
        template: of the whole prompt.
        shots: those of all samples, and the choice for one sample.
        main: what comes before every sample that has no shots of its own.
        escape: breaks in untrusted text what could forge a section or a special token.
    """

    def __init__(
        self, kind: JudgeKind, config: JudgeConfig, settled: Settled, facts: EngineFacts
    ) -> None:
        """Load template and shots, and render what all prompts share.

        Raises:
            TemplateError: a template cannot be used.
            InputError: a shot cannot be used.
        """
        self._kind = kind
        self._config = config
        self._settled = settled
        self.template = _load_template(kind, config, settled.mode)
        self._snippets = read_snippets(
            config.shot_template, config.feedback_template, settled.mode, kind
        )
        delimiters = [d for t in (self.template, *self._snippets) if t for d in t.delimiters]
        self._escaper = Escaper(delimiters, facts.special_tokens)
        self.escape = self._escaper.escape
        self._spares_roles = self._escaper.is_harmless("\n".join(content.ROLES))
        self.shots = self._load_shots()
        self._static_variables = self._make_static_variables()
        self._shot_text = ShotText(
            kind,
            self._snippets,
            self._render_shot,
            self._static_variables,
            self._escaper.escape_all,
        )
        self._openings: dict[tuple[int, ...], Opening] = {}
        if config.pool or any(self._snippets):
            for shot in self.shots.shots:  # Refuses now what cannot be shown.
                self._shot_text.show(shot)
        self.main = self._open(self.shots.fixed or (), common=True)

    @property
    def sampling(self) -> Sampling:
        """The settled sampling, with stop texts where a reply must end before the next section."""
        settled = self._settled
        if settled.readout != "json" or settled.mode != "completion":
            return settled.sampling
        stops = tuple(f"\n{d}" for d in self.template.delimiters[:_STOPS])
        return msgspec.structs.replace(settled.sampling, stop=stops)

    @property
    def notes(self) -> list[str]:
        """What the user should know about templates and shots."""
        return [*_unused_templates(self._config, self._settled.mode), *self.shots.notes]

    @property
    def digest(self) -> str:
        """Digest of everything that all prompts of this judge share."""
        messages = self.main.messages if self._settled.mode == "chat" else ()
        opening = [[m.role, m.content] for m in messages]
        settled, words = self._settled, [option.word for option in self._kind.options]
        source = self.template.source
        parts = [settled.mode, settled.readout, words, self.main.text, source, *opening]
        if any(self._snippets):
            parts.append([snippet and snippet.source for snippet in self._snippets])
        return digest_of(parts)[:32]

    def request(self, sample: Sample, turn: str, asked: Mapping[str, Any]) -> Request:
        """Return the request for a sample.

        Args:
            sample: what is judged.
            turn: what the request is for; see `Request.turn`.
            asked: further fields of the request, the same for all samples.
        """
        variables = self._kind.sample_variables(sample)
        text = self._kind.joined(variables)
        opening = self.main if turn == "prior" else self._opening_for(text, turn)
        shown = self._escaped(variables, text)
        fill = self.template.fill
        body = fill(shown) if fill else self.template.sample(shown, opening.variables)
        prompt: str | tuple[Message, ...]
        if self._settled.mode == "completion":
            prompt = opening.text + body
        else:
            prompt = (*opening.messages, Message("user", body.strip()))
        return Request(
            prompt=prompt,
            shared=opening.shared,
            affinity=opening.affinity or body[:_AFFINITY],
            sample_id=sample.id,
            turn=turn,
            **asked,
        )

    def _render_shot(self, shot: Shot) -> tuple[dict[str, Any], str]:
        fields = self._escaped(self._kind.sample_variables(shot.sample), shot.text)
        return fields, self.template.sample(fields, self._static_variables)

    def _load_shots(self) -> ShotSet:
        if not self._kind.prompted:
            return ShotSet((), 0, "none")
        config = self._config
        found = choose_shots(self._kind, config.shots, config.pool, config.select, config.seed or 0)
        in_turns = self._settled.mode == "chat" and self.template.has_blocks
        asked = config.shots or config.pool or any(self._snippets) or config.select != "fixed"
        if asked and found.shots and not (self.template.shows_shots or in_turns):
            raise TemplateError(
                f"{self.template.name}: it never shows the shots; loop over 'shots', or leave "
                "shots, pool and their templates out"
            )
        return found

    def _make_static_variables(self) -> dict[str, Any]:
        return {
            "options": [msgspec.to_builtins(option) for option in self._kind.options],
            "readout": self._settled.readout,
            "shots": [],
            "criteria": [criterion.shown(self.escape) for criterion in self._config.criteria],
        }

    def _opening_for(self, text: str, turn: str) -> Opening:
        """Return what comes before a sample; the leakage guard may take shots out of it."""
        shots = self.shots
        if not shots.shots or (shots.fixed is not None and not shots.alike(text)):
            return self.main
        chosen = shots.choose(text, count=turn == "main")
        known = self._openings.get(chosen)
        if known is None:
            if len(self._openings) >= _OPENINGS:
                self._openings.clear()
            known = self._openings[chosen] = self._open(chosen, common=False)
        return known

    def _open(self, chosen: Sequence[int], *, common: bool) -> Opening:
        shots = [self._shot_text.show(self.shots.shots[place]) for place in chosen]
        variables = self._static_variables | {"shots": shots}
        text = self.template.instructions(variables)
        if self.shots.text:
            text = f"{text.rstrip()}\n\n{self.shots.text.strip()}\n\n".lstrip()
        messages = _messages(text, () if self.template.shows_shots else shots)
        chat = self._settled.mode == "chat"
        if common:
            return Opening(variables, text, messages, len(messages) if chat else len(text))
        same = chat and messages[:1] == self.main.messages[:1]
        return Opening(variables, text, messages, int(same), f"shots {chosen}")

    def _escaped(self, variables: dict[str, Untrusted], text: str) -> dict[str, Any]:
        """Return the variables made safe, given their texts as one."""
        if self._spares_roles and self._escaper.is_harmless(text):
            return variables
        return self._escaper.escape_all(variables)


def _messages(text: str, turns: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Return the messages before the sample's: instructions, and shots that are not in them."""
    if not text:
        return ()
    shown = [
        message
        for shot in turns
        for message in (Message("user", shot["text"].strip()), Message("assistant", shot["reply"]))
    ]
    return (Message("system", text.strip()), *shown)


def _load_template(kind: JudgeKind, config: JudgeConfig, mode: Mode) -> Template:
    if not kind.prompted:
        return Template("", "none", frozenset())
    path = template_path(config.template, mode)
    if path is not None:
        return Template(read_template(path), path, kind.variables)
    own = kind.templates
    if own is None:
        name = f"{kind.template_name()}.{mode}"
        return Template(builtin(name), name, kind.variables)
    name = f"{kind.kind}.{mode}"
    if isinstance(own, Mapping):
        if mode not in own:
            raise TemplateError(
                f"the {kind.kind} judge has no template for {mode} mode, only for {', '.join(own)}"
            )
        own = own[mode]
    if isinstance(own, Path):
        name = str(folder_of(type(kind)) / own)
        own = read_template(name)
    return Template(own, name, kind.variables)


def _unused_templates(config: JudgeConfig, mode: Mode) -> list[str]:
    choices = {
        "the template": config.template,
        "the template of shots": config.shot_template,
        "the template of replies in shots": config.feedback_template,
    }
    return [
        f"{name} is for {' and '.join(choice)} mode, and the run is in {mode} mode: it is not used"
        for name, choice in choices.items()
        if isinstance(choice, dict) and mode not in choice
    ]


def digest_of(data: Json) -> str:
    """Return 64 hexadecimal digits that identify a value of JSON."""
    encoded = msgspec.json.encode(data, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=32).hexdigest()
