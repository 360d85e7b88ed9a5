"""NVIDIA's trainers: the NeMo customizer's files, and NeMo RL's preference data."""

from collections.abc import Iterable

from plaudit.preferences.export.base import Format, row
from plaudit.preferences.export.shaping import Carries, Shaped, content_of, messages_of


class NemoCustomizer(Format):
    """`prompt`, text or messages; `chosen_response` and `rejected_response`, text."""

    train = "training/training_file.jsonl"
    validation = "validation/validation_file.jsonl"

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return one row."""
        chosen, rejected = (_text_of(data) for data in (pair.chosen, pair.rejected))
        names = ("prompt", "chosen_response", "rejected_response")
        return [row(zip(names, (pair.prompt, chosen, rejected), strict=True))]


class NemoRl(Format):
    """`context`, and `completions` with their ranks, of which 0 is the best."""

    carries = Carries(turns=True)
    styles = ("conversational",)

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return one row."""
        ranked = b",".join(
            b'{"rank":%d,"completion":%b}' % (rank, data)
            for rank, data in enumerate((pair.chosen, pair.rejected))
        )
        return [row((("context", pair.prompt), ("completions", b"[%b]" % ranked)))]


def _text_of(data: bytes) -> bytes:
    return data if data[:1] == b'"' else content_of(messages_of(data)[0])
