"""What `rollout` gives: traces, and what trainers take of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import msgspec

from plaudit._util.notebook import Tabular
from plaudit._util.packages import load_package
from plaudit.errors import UsageError
from plaudit.rollouts.evaluation import Evaluation, Evaluator
from plaudit.rollouts.rewards.composite import TOTAL, Composite
from plaudit.rollouts.trace import Tokens, Trace
from plaudit.rollouts.traces import write_traces
from plaudit.types import Json, Message


class Rollouts(Sequence[Trace], Tabular):
    """Traces in the order of their questions, those of one question beside each other."""

    def __init__(
        self, traces: Sequence[Trace], samples: int = 1, rewards: Composite | None = None
    ) -> None:
        """Hold traces.

        Args:
            traces: in order.
            samples: rollouts of each question.
            rewards: what they were scored by, if they were.
        """
        self._traces = list(traces)
        self._samples = samples
        self._scored_by = rewards

    def __len__(self) -> int:
        return len(self._traces)

    @overload
    def __getitem__(self, place: int) -> Trace: ...
    @overload
    def __getitem__(self, place: slice) -> "Rollouts": ...
    def __getitem__(self, place: int | slice) -> "Trace | Rollouts":
        if isinstance(place, slice):
            return Rollouts(self._traces[place], self._samples, self._scored_by)
        return self._traces[place]

    def __iter__(self) -> Iterator[Trace]:
        return iter(self._traces)

    def __repr__(self) -> str:
        return f"<Rollouts: {len(self)}, {self._samples} a question>"

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the row of each trace."""
        return (row for trace in self for row in trace.table_rows())

    # ------------------------------------------------------------ what was said

    @property
    def final_answers(self) -> list[str | None]:
        """The answer of each rollout; None where it gave none."""
        return [trace.final_answer for trace in self]

    @property
    def chats(self) -> list[list[dict[str, Json]]]:
        """The whole chat of each rollout, in the OpenAI format."""
        return [[_as_dict(message) for message in trace.messages] for trace in self]

    @property
    def values(self) -> list[float | None]:
        """The total reward of each rollout; None where it has none, which is no number.

        Raises:
            UsageError: they were not scored.
        """
        if any(trace.rewards is None for trace in self):
            raise UsageError("these rollouts were not scored: give rewards=..., or score_traces")
        return [(trace.rewards or {})[TOTAL].value for trace in self]

    # ------------------------------------------------------------ tokens

    @property
    def usable(self) -> "Rollouts":
        """Those that something can be learned from: finished, no tool failed, with tokens."""
        kept = [trace for trace in self if trace.tokens is not None and not trace.unfinished]
        return Rollouts(kept, self._samples, self._scored_by)

    @property
    def prompt_ids(self) -> list[list[int]]:
        """Ids of system prompt, tools and question.

        Raises:
            UsageError: a rollout has no tokens; `usable` leaves it out.
        """
        return [tokens.prompt_ids for tokens in self._tokens()]

    @property
    def completion_ids(self) -> list[list[int]]:
        """Ids of all that follows the prompt: what was sampled, and tool results in between."""
        return [tokens.completion_ids for tokens in self._tokens()]

    @property
    def masks(self) -> list[list[int]]:
        """For each completion id whether the model sampled it (1), its end-of-turn too, or not."""
        return [tokens.completion_mask for tokens in self._tokens()]

    @property
    def logprobs(self) -> list[list[float | None]]:
        """For each completion id its log-probability; None where not sampled or not known."""
        return [tokens.completion_logprobs for tokens in self._tokens()]

    def tensors(self, pad_id: int = 0, *, logprobs: bool = True) -> dict[str, Any]:
        """Return the tokens as torch tensors of B rollouts, made when called.

        Args:
            pad_id: id of the padding.
            logprobs: False for a trainer that computes log-probabilities itself.

        Returns:
            `prompt_ids` and `prompt_mask` (B, P), padded on the left; `completion_ids`,
            `completion_mask` (whether there is a token), `sampled` (the loss mask: whether the
            model wrote the token) and `logprobs` (float; 0 where not sampled) (B, C), padded on the
            right. A token of an unknown log-probability, as all of `approximate` traces, is NaN in
            `logprobs` and 0 in `sampled`. With `logprobs=False` there are no `logprobs`, and
            `sampled` is `masks`.

        Raises:
            MissingDependencyError: torch is not installed.
            UsageError: a rollout has no tokens.
        """
        prompts, completions, tokens = self.prompt_ids, self.completion_ids, self._tokens()
        sampled = [[int(k) for k in t.completion_known] for t in tokens] if logprobs else self.masks
        torch = load_package("torch", "trl")
        found = {
            "prompt_ids": torch.tensor(_padded(prompts, pad_id, left=True)),
            "prompt_mask": torch.tensor(_padded(_ones(prompts), 0, left=True)),
            "completion_ids": torch.tensor(_padded(completions, pad_id)),
            "completion_mask": torch.tensor(_padded(_ones(completions), 0)),
            "sampled": torch.tensor(_padded(sampled, 0)),
        }
        if logprobs:
            filled = _padded([t.filled_logprobs for t in tokens], 0.0)
            found["logprobs"] = torch.tensor(filled, dtype=torch.float32)
        return found

    def _tokens(self) -> list[Tokens]:
        found = [trace.tokens for trace in self if trace.tokens is not None]
        if len(found) < len(self):
            first = next(trace for trace in self if trace.tokens is None)
            raise UsageError(
                f"{len(self) - len(found)} of {len(self)} rollouts have no token ids, the first "
                f"{first.id} ({first.stop_reason}): take .usable, or an engine that returns ids"
            )
        return found

    # ------------------------------------------------------------ all of them

    @property
    def evaluation(self) -> Evaluation:
        """What they came to: how they ended, and how good they are where they were scored."""
        evaluator = Evaluator(self._samples, self._scored_by)
        for place, trace in enumerate(self):
            evaluator.add(place // self._samples, trace)
        return evaluator.result()

    def save(self, path: str | Path) -> None:
        """Write the traces as JSON Lines, for `read_traces` and `plaudit score`.

        Raises:
            StoreError: the file cannot be written.
        """
        write_traces(self, path)


def _as_dict(message: Message) -> dict[str, Json]:
    return msgspec.to_builtins(message)


def _ones(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[1] * len(row) for row in rows]


def _padded(rows: Sequence[Sequence[Any]], pad: Any, left: bool = False) -> list[list[Any]]:
    longest = max(map(len, rows), default=0)
    if left:
        return [[pad] * (longest - len(row)) + list(row) for row in rows]
    return [list(row) + [pad] * (longest - len(row)) for row in rows]
