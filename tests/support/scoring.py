"""What servers say of the log-probabilities of a prompt's tokens, in the shapes that they say it.

The model behind it writes `praise` with a probability of 0.5 wherever it is asked, and so on; each
token but the last of a word has a log-probability of 0, so that a word's is that of its last one.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.server import Reply, chat, completion, error

Replier = Callable[[dict[str, Any]], Any]


def tokens_of(text: str) -> list[str]:
    """Tokens as GPT-2 has them: a space belongs to the word after it; long words are two."""
    found: list[str] = []
    for piece in re.findall(r" ?\w+|\s+|[^\w\s]", text):
        found.extend([piece[:5], piece[5:]] if len(piece) > 6 else [piece])
    assert "".join(found) == text
    return found


class Scorer:
    """Answers completions: little is shown of the first token, all of a given text."""

    def __init__(
        self,
        words: Mapping[str, float],
        *,
        form: str = "vllm",
        shown: Mapping[str, float] = {" x": 0.5},
        cut: Callable[[str], list[str]] = tokens_of,
    ) -> None:
        """Prepare.

        words: probability of each word after any prompt.
        form: `vllm`, `echo`, `together`; `ignored` gives a plain reply, `refused` an error.
        shown: probabilities of the candidates of a plain reply.
        cut: the tokenizer.
        """
        self.words, self.form, self.shown, self.cut = words, form, shown, cut
        self.asked: list[dict[str, Any]] = []

    def __call__(self, body: dict[str, Any]) -> Any:
        if not (body.get("echo") or "prompt_logprobs" in body):
            return self.plain(body)
        self.asked.append(body)
        if self.form == "refused":
            return error(400, "echo and prompt_logprobs are not supported with this model")
        if self.form == "ignored":
            return self.plain(body)
        text = body.get("prompt") or "<s>" + "\n".join(m["content"] for m in body["messages"])
        return getattr(self, self.form)(body, self.scored(text))

    def plain(self, body: dict[str, Any]) -> Any:
        top = [(token, math.log(p)) for token, p in self.shown.items()]
        make = completion if "prompt" in body else chat
        return make(top[0][0], top)

    def scored(self, text: str) -> list[tuple[str, float | None]]:
        tokens = self.cut(text)
        word = re.findall(r"\w+$", text)[-1]
        values = [0.0] * (len(tokens) - 1) + [math.log(self.words[word])]
        return [
            (token, value if i else None)
            for i, (token, value) in enumerate(zip(tokens, values, strict=True))
        ]

    def vllm(self, body: dict[str, Any], scored: list[tuple[str, float | None]]) -> Any:
        places = [
            None
            if value is None
            else {
                "7": {"logprob": -0.001, "rank": 1, "decoded_token": "never"},
                str(100 + i): {"logprob": value, "rank": 9, "decoded_token": token},
            }
            for i, (token, value) in enumerate(scored)
        ]
        usage = {"prompt_tokens": len(scored), "completion_tokens": 1}
        if "prompt" in body:
            return completion("x", prompt_logprobs=places) | {"usage": usage}
        return chat("x") | {"usage": usage, "prompt_logprobs": places}

    def echo(self, body: dict[str, Any], scored: list[tuple[str, float | None]]) -> Any:
        every = [*scored, (" y", -1.0)]
        logprobs = {
            "tokens": [token for token, _ in every],
            "token_logprobs": [value for _, value in every],
            "top_logprobs": None,
            "text_offset": [-1] * len(every),
        }
        usage = {"prompt_tokens": len(scored), "completion_tokens": 1}
        reply = completion(body["prompt"] + " y") | {"usage": usage}
        reply["choices"][0]["logprobs"] = logprobs
        return reply

    def together(self, body: dict[str, Any], scored: list[tuple[str, float | None]]) -> Any:
        values = {"tokens": [t for t, _ in scored], "token_logprobs": [v for _, v in scored]}
        reply = completion(" y", [(" y", -1.0)])
        return reply | {"prompt": [{"text": body["prompt"], "logprobs": values}]}

    def broken(self, body: dict[str, Any], scored: list[tuple[str, float | None]]) -> Any:
        return completion("x", prompt_logprobs="all of them")

    def empty(self, body: dict[str, Any], scored: list[tuple[str, float | None]]) -> Any:
        return Reply(200, b"")
