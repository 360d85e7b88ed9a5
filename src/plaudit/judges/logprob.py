"""Reading distributions: options, prior, head, and options scored as continuations.

Where a reply shows too few log-probabilities, each option is scored as a continuation of the
prompt: one request an option, which returns the probability that the model writes the option's word
there, all of its tokens together. Each such request costs the prompt's tokens, so only replies that
need it are scored so.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from plaudit._util.aio import for_each
from plaudit.engines.base import Completion, Request
from plaudit.engines.replies import check_logprobs
from plaudit.errors import Cause, ReplyError, UsageError
from plaudit.judges import readout
from plaudit.judges.config import EngineFacts, Settled
from plaudit.judges.kind import JudgeKind
from plaudit.judges.readout import MIN_OPTION_MASS, Bounds, options_of, read_options
from plaudit.judges.verdict import Ask, Reading, Transcript
from plaudit.prompts.shots import digest_rows, load_prior
from plaudit.scoring.head import Head, shipped_heads
from plaudit.types import Sample

_KEPT = 5
"""Most likely tokens that are kept of a reply where no head reads more."""

Render = Callable[[Sample, str], Request]
"""Returns the request about a sample, for a turn."""


class LogprobReader:
    """Reads the replies of one judge in the logprob readout.

    Attributes:
        rows: the balanced set on which the prior is measured; empty: no prior is removed.
        digest: of the balanced set, or `none`.
        heads: shipped heads that were fitted with this judge's prompt.
        head: the one of this model; None: none, or not known yet.
        continues: whether the engine scores continuations.
    """

    def __init__(
        self,
        kind: JudgeKind,
        settled: Settled,
        facts: EngineFacts,
        prompt: str,
        render: Render,
        *,
        prior: bool,
    ) -> None:
        """Load the balanced set and the heads.

        Args:
            kind: reads distributions.
            settled: the settled configuration.
            facts: of the engine.
            prompt: digest of what all prompts share.
            render: see `Render`.
            prior: whether a prior is removed.

        Raises:
            UsageError: the first tokens of two option words may be the same.
        """
        readout.check_words([option.word for option in kind.options])
        self._kind = kind
        self._render = render
        self.words = tuple(option.word for option in kind.options)
        self._labels = tuple(option.label for option in kind.options)
        reads = settled.readout == "logprob"
        self.rows, self.digest = balanced_set(kind) if reads and prior else ((), "none")
        self.heads = heads_of(kind, prompt) if self.rows else ()
        self.head = next((head for head in self.heads if head.model == facts.identity), None)
        self.continues = reads and settled.mode in facts.capabilities.continuations
        self._most = settled.logprobs
        self._prior: Bounds | None = None
        self._continued_prior: Bounds | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """Fields of a request: how many log-probabilities are wanted, which, and which are kept."""
        view = max((head.view for head in self.heads), default=0)
        if not self._most:
            return {"logprobs": 0, "options": (), "keep": 0}
        logprobs = min(view, self._most) if view else self._most
        return {"logprobs": logprobs, "options": self.words, "keep": view or _KEPT}

    async def prepare(self, ask: Ask) -> Head | None:
        """Ask the balanced set, once: find the head of this model, else measure the prior.

        Returns:
            The head that was found by its replies.

        Raises:
            CallError: a request got no reply.
            UsageError: the model hardly ever answers with an option.
        """
        if not self.rows or self.head is not None or self._prior is not None:
            return None
        replies = await self._probe(ask)
        whole = [reply for reply in replies if reply is not None]
        if len(whole) == len(replies):
            found = next((head for head in self.heads if head.fits(whole)), None)
            if found is not None:
                return found
        self._prior = self._mean_prior(whole)
        if self.continues and any(self._hides_options(reply) for reply in whole):
            self._continued_prior = await self._measure_continued(replies, ask)
        return None

    async def ask(self, sample: Sample, request: Request, reported: Transcript) -> Reading:
        """Ask once and read the reply; score continuations where it hides too much.

        Raises:
            CallError: a request got no reply.
            ReplyError: the reply does not show enough of the distribution.
        """
        completion = await reported.ask(request)
        try:
            return self.read(sample, completion)
        except ReplyError as error:
            if not self._may_continue(completion):
                raise
            return await self._read_continued(request, completion, reported, error)

    def read(self, sample: Sample, completion: Completion) -> Reading:
        """Read the distribution over the options, with the prior removed where there is one.

        Raises:
            ReplyError: the reply does not show enough of it.
        """
        heard: Mapping[str, float] = {}
        if self.head is not None:  # A head reads more than the option words.
            shown = read_options(completion, self.words, least=0)
            heard = self._kind.cues(sample) if self.head.cues else {}
            probabilities = self.head.distribution(completion, heard)
        else:
            shown = read_options(completion, self.words)
            probabilities = readout.distribution(shown, self._prior, self._labels)
        reading = self._kind.read_distribution(probabilities)
        reading.fields.update(heard)
        missing = readout.censored(shown, self._labels)
        if missing:
            reading.fields["censored"] = missing
        return reading

    def shows_options(self, completion: Completion) -> bool:
        """Return whether a reply shows anything about the options."""
        try:
            read_options(completion, self.words)
        except ReplyError:
            return False
        return True

    # Continuations

    def _may_continue(self, completion: Completion) -> bool:
        """Return whether options that a reply hides are to be scored as continuations.

        Not with a head: it reads more than the option words.
        """
        return self.continues and self.head is None and could_help(completion, self.words)

    async def _read_continued(
        self, request: Request, reply: Completion, reported: Transcript, hidden: ReplyError
    ) -> Reading:
        """Score the options as continuations, after a reply that hides some of them."""
        shown = await score(request, reply, self.words, reported.ask)
        if shown is None:
            raise ReplyError(
                hidden.cause, f"{hidden}; the engine does not score given continuations either"
            )
        prior = self._continued_prior or self._prior
        reading = self._kind.read_distribution(readout.distribution(shown, prior, self._labels))
        reading.fields["read_by"] = "continuations"
        return reading

    # The prior

    def _hides_options(self, completion: Completion) -> bool:
        try:
            return 0.0 in read_options(completion, self.words).low
        except ReplyError:
            return True

    def _probe_of(self, number: int) -> Request:
        (sample,) = self._kind.read_row(self.rows[number], 0)
        return self._render(sample, "prior")

    async def _probe(self, ask: Ask) -> list[Completion | None]:
        """Ask the balanced set; None stands for a reply that cannot be used."""
        replies: list[Completion | None] = [None] * len(self.rows)

        async def probe(number: int) -> None:
            with suppress(ReplyError):
                replies[number] = await ask(self._probe_of(number))

        await for_each(probe, range(len(replies)), len(replies))
        return replies

    async def _measure_continued(
        self, replies: Sequence[Completion | None], ask: Ask
    ) -> Bounds | None:
        """Measure the prior of continuations; None where the engine does not score enough."""
        found: list[Bounds | None] = [None] * len(self.rows)

        async def probe(number: int) -> None:
            with suppress(ReplyError):
                found[number] = await score(
                    self._probe_of(number), replies[number], self.words, ask
                )

        await for_each(probe, range(len(found)), len(found))
        whole = [bounds for bounds in found if bounds is not None]
        return readout.mean_bounds(whole) if 2 * len(whole) >= len(found) else None

    def _mean_prior(self, replies: Sequence[Completion]) -> Bounds:
        bounds: list[Bounds] = []
        for reply in replies:
            with suppress(ReplyError):  # This reply shows no option; the others do.
                bounds.append(read_options(reply, self.words))
        if 2 * len(bounds) < len(self.rows):
            raise UsageError(
                f"the {self._kind.kind} judge's option words are hardly ever this model's next "
                'token; use readout="json", or shots that show every option (--fresh, if the '
                "server merely misbehaved)"
            )
        return readout.mean_bounds(bounds)


def balanced_set(kind: JudgeKind) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Return the rows that measure a judge's prior, and their digest; `none` without rows."""
    if kind.balanced_set is None:
        return load_prior(kind.kind)
    return kind.balanced_set, digest_rows(kind.balanced_set)


def heads_of(kind: JudgeKind, prompt: str) -> tuple[Head, ...]:
    """Return the shipped heads that were fitted with a prompt, given its digest."""
    return tuple(head for head in shipped_heads(kind.kind) if head.prompt == prompt)


def could_help(completion: Completion, words: tuple[str, ...]) -> bool:
    """Return whether a reply leaves room for options that it does not show.

    Where the candidates that it does not show are too improbable to matter, the model does not
    answer with an option, and asking for each changes nothing.
    """
    if not completion.logprobs:
        return False
    return sum(read_options(completion, words, least=0).high) >= MIN_OPTION_MASS


async def score(
    request: Request,
    reply: Completion | None,
    words: tuple[str, ...],
    ask: Ask,
) -> Bounds | None:
    """Ask for each option's word, one after the other; return probabilities as bounds that meet.

    Args:
        request: what the options answer.
        reply: the reply to it. Words are asked for in lower case, as prompts show them, unless
            the reply has more of them with a capital. A space precedes the word where the prompt's
            text does not end with one; a chat's reply begins without a space.
        words: the options, in lower case.
        ask: gets completions.

    Returns:
        The probability of each word, or None where the engine does not return one.

    Raises:
        ReplyError: together the words are too improbable to be an answer, or the engine sends a
            number that is no log-probability.
    """
    found: list[float] = []
    spelled = map(str.title, words) if _in_capitals(reply, words) else words
    for word in spelled:
        reported = (await ask(_continued(request, word))).logprobs
        if not reported:
            return None
        check_logprobs(reported)
        found.append(math.exp(reported[0].logprob))
    mass = math.fsum(found)
    if mass < MIN_OPTION_MASS:
        raise ReplyError(
            Cause.LOW_OPTION_MASS,
            f"only {mass:.3f} of the probability is on the options, scored as continuations",
        )
    return Bounds(tuple(found), tuple(found))


_MARKS = " \u2581\u0120"
"""How tokenizers write the space before a word; the last one counts as a capital."""


def _in_capitals(reply: Completion | None, words: tuple[str, ...]) -> bool:
    shown = (reply.logprobs if reply else None) or ()
    options = options_of([candidate.token for candidate in shown], words)
    balance = math.fsum(
        math.exp(candidate.logprob) * (-1 if candidate.token.lstrip(_MARKS).islower() else 1)
        for candidate, option in zip(shown, options, strict=True)
        if option is not None
    )
    return balance > 0


def _continued(request: Request, word: str) -> Request:
    prompt, turn = request.prompt, f"{request.turn}-continuation"
    space = " " if isinstance(prompt, str) and prompt and not prompt[-1].isspace() else ""
    return replace(request, continuation=space + word, logprobs=0, options=(), turn=turn)
