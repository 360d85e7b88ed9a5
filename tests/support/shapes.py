"""Replies as servers shape them, and what each must become. Every engine is run against them.

To add an engine: an entry in `FORMS` for each way in which it is asked, with a good reply in the
shape that its server documents, and entries in `SHAPES` for what that server does differently.
"""

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

import msgspec

from plaudit.engines.base import Completion, Request, Sampling, Schema, ToolCall, ToolSpec
from plaudit.engines.llama.server import LocalHTTP, Traits, complete_traced
from plaudit.engines.load import load_engine
from plaudit.types import Message

CHAT = (Message("user", "Is it good?"),)
TEXT = "Is it good?\nAnswer:"
SAMPLING = Sampling(max_tokens=8)
SCHEMA = Schema("verdict", msgspec.Raw(b'{"type": "object"}'))
TOOL = ToolSpec("search", "Searches.", msgspec.Raw(b'{"type": "object"}'))
TOP = (("yes", -0.2), ("no", -2.0), (" yes", -4.0))
"""Candidates of a first token, most probable first."""


def ask(prompt: Any = CHAT, **options: Any) -> Request:
    return Request(prompt=prompt, sampling=SAMPLING, **options)


@dataclass(frozen=True)
class Form:
    """One way in which an engine is asked, and a good reply to it.

    `engine` is an engine URI in which `URL` stands for the server's root.
    """

    engine: str
    request: Request
    reply: Any
    read: dict[str, Any]
    """Fields of the completion that it must become."""

    async def complete(self, root: str) -> Completion:
        """Complete the request at a server."""
        if self.engine == "llama":
            traits = Traits(vocabulary=9, end_id=2, reuse=False, template={})
            return await asyncio.to_thread(
                complete_traced, LocalHTTP(root, ""), self.request, traits
            )
        engine = load_engine(self.engine.replace("URL", root))
        try:
            return await engine.complete(self.request)
        finally:
            await engine.close()


# OpenAI's protocol, as different servers fill it in.


def listed(*tops: tuple[tuple[str, float | None], ...], **more: Any) -> dict[str, Any]:
    """Log-probabilities as a list of positions, the first candidate of each being sampled."""
    return {
        "content": [
            {
                "token": top[0][0],
                "logprob": top[0][1],
                "bytes": list(top[0][0].encode()),
                "top_logprobs": [
                    {"token": token, "logprob": logprob, "bytes": list(token.encode())} | more
                    for token, logprob in top
                ],
            }
            for top in tops
        ],
        "refusal": None,
    }


def mapped(top: tuple[tuple[str, float | None], ...]) -> dict[str, Any]:
    """Log-probabilities as maps keyed by text."""
    return {
        "tokens": [top[0][0]],
        "token_logprobs": [top[0][1]],
        "top_logprobs": [dict(top)],
        "text_offset": [0],
    }


def chat(message: Any = "yes", usage: Any = None, **choice: Any) -> dict[str, Any]:
    """A chat completion with what most servers send."""
    said = {"role": "assistant"} | (message if isinstance(message, dict) else {"content": message})
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "m",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"} | choice],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
        if usage is None
        else usage,
    }


def text(said: str = "yes", usage: Any = None, **choice: Any) -> dict[str, Any]:
    """A text completion with what most servers send."""
    found = chat("", usage) | {"id": "cmpl-7", "object": "text_completion"}
    return found | {
        "choices": [{"index": 0, "text": said, "finish_reason": "stop", "logprobs": None} | choice]
    }


def called(arguments: Any, **call: Any) -> dict[str, Any]:
    """A message that calls the tool."""
    function = {"name": "search", "arguments": arguments}
    return {
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function} | call],
    }


YES = {"text": "yes", "finish_reason": "stop", "usage": (9, 2)}
SHOWN = YES | {"logprobs": TOP}
CALLED = {"text": "", "finish_reason": "tool_calls", "usage": (9, 2)}
CALL = ToolCall("call_1", "search", '{"q": 1}')
FORMS: dict[str, Form] = {
    "openai chat": Form(
        "openai:m@URL/v1",
        ask(),
        chat(
            {"content": "yes", "refusal": None, "annotations": []},
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "total_tokens": 11,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            logprobs=None,
        )
        | {"service_tier": "default", "system_fingerprint": "fp_1"},
        YES,
    ),
    "openai chat, logprobs": Form(
        "openai:m@URL/v1", ask(logprobs=20), chat(logprobs=listed(TOP)), SHOWN
    ),
    "openai chat, schema": Form(
        "openai:m@URL/v1", ask(schema=SCHEMA), chat("{}"), YES | {"text": "{}"}
    ),
    "openai chat, tools": Form(
        "openai:m@URL/v1",
        ask(tools=(TOOL,)),
        chat(called('{"q": 1}'), finish_reason="tool_calls"),
        CALLED | {"tool_calls": (CALL,)},
    ),
    "vllm chat, ids": Form(
        "vllm:m@URL/v1",
        ask(trace_tokens=True),
        chat(
            {"content": "yes", "reasoning_content": None, "tool_calls": []},
            logprobs=listed((("ye", -0.5),), (("s", -0.25),)),
            stop_reason=None,
            token_ids=[4, 5],
        )
        | {"prompt_token_ids": [1, 2, 3], "prompt_logprobs": None, "kv_transfer_params": None},
        YES | {"token_ids": (4, 5), "token_logprobs": (-0.5, -0.25), "prompt_token_ids": (1, 2, 3)},
    ),
    "vllm completion, logprobs": Form(
        "vllm:m@URL/v1",
        ask(TEXT, logprobs=20),
        text(logprobs=mapped(TOP), stop_reason=None, prompt_logprobs=None),
        SHOWN,
    ),
    "vllm continuation": Form(
        "vllm:m@URL/v1",
        ask(TEXT, continuation=" yes"),
        text(
            "x",
            prompt_logprobs=[
                None,
                {"8": {"logprob": -1.5, "rank": 3, "decoded_token": "Answer:"}},
                {
                    "5": {"logprob": -0.5, "rank": 2, "decoded_token": " yes"},
                    "6": {"logprob": -0.25, "rank": 1, "decoded_token": " no"},
                },
            ],
        ),
        {"text": " yes", "logprobs": ((" yes", -0.5),)},
    ),
    "sglang completion, logprobs": Form(
        "sglang:m@URL/v1",
        ask(TEXT, logprobs=20),
        text(logprobs=mapped(TOP), matched_stop=None)
        | {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None}},
        SHOWN,
    ),
    "sglang continuation": Form(
        "sglang:m@URL/v1",
        ask("So:", continuation=" yes"),
        text(
            "So: yes.",
            {"prompt_tokens": 2, "completion_tokens": 1},
            logprobs={
                "tokens": ["So:", " yes", "."],
                "token_logprobs": [None, -0.5, -1.0],
                "top_logprobs": [],
            },
        ),
        {"text": " yes", "logprobs": ((" yes", -0.5),)},
    ),
    "together chat, logprobs": Form(
        "together:m@URL/v1",
        ask(logprobs=20),
        chat(finish_reason="eos", seed=7, logprobs=mapped(TOP) | {"token_ids": [7]})
        | {"prompt": [], "object": "chat.completion"},
        SHOWN,
    ),
    "together continuation": Form(
        "together:m@URL/v1",
        ask(TEXT, continuation=" yes"),
        text("x")
        | {
            "prompt": [
                {
                    "text": TEXT + " yes",
                    "logprobs": {
                        "tokens": ["Answer:", " yes"],
                        "token_logprobs": [None, -0.5],
                        "token_ids": [1, 2],
                    },
                }
            ]
        },
        {"text": " yes", "logprobs": ((" yes", -0.5),)},
    ),
    "mistral chat": Form(
        "mistral:m@URL/v1",
        ask(),
        chat(
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Well."}]},
                    {"type": "text", "text": "yes"},
                ],
                "tool_calls": None,
                "prefix": False,
            }
        ),
        YES,
    ),
    "llama.cpp's server, chat": Form(
        "openai:m@URL/v1",
        ask(logprobs=20, trace_tokens=True),
        chat(logprobs=listed(TOP, (("!", -0.1),), id=7))
        | {"timings": {"prompt_n": 9}, "__verbose": {"content": "yes", "tokens": [7, 8]}},
        SHOWN | {"token_ids": (7, 8), "token_logprobs": (-0.2, -0.1)},
    ),
    "llama.cpp's server, completion": Form(
        "openai:m@URL/v1", ask(TEXT, logprobs=20), text(logprobs=listed(TOP, id=7)), SHOWN
    ),
    "llama.cpp in this process": Form(
        "llama",
        ask("x", prompt_ids=(1, 2, 3), trace_tokens=True),
        {
            "content": "yes",
            "tokens": [4, 5],
            "stop": True,
            "stop_type": "eos",
            "tokens_evaluated": 3,
            "tokens_predicted": 2,
            "completion_probabilities": [
                {"id": 4, "token": "ye", "logprob": -0.5, "top_logprobs": []},
                {"id": 5, "token": "s", "logprob": -0.25, "top_logprobs": []},
            ],
        },
        {
            "text": "yes",
            "finish_reason": "stop",
            "token_ids": (4, 5),
            "token_logprobs": (-0.5, -0.25),
            "prompt_token_ids": (1, 2, 3),
        },
    ),
    # Anthropic's Messages API.
    "anthropic": Form(
        "anthropic:m@URL",
        ask(),
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "yes", "citations": None}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 5,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 4,
                "output_tokens": 2,
                "service_tier": "standard",
            },
        },
        YES,
    ),
    "anthropic, schema": Form(
        "anthropic:m@URL",
        ask(schema=SCHEMA),
        {
            "content": [{"type": "tool_use", "id": "t", "name": "verdict", "input": {"a": 1}}],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 9, "output_tokens": 2},
        },
        YES | {"text": '{"a": 1}'},
    ),
    "anthropic, tools": Form(
        "anthropic:m@URL",
        ask(tools=(TOOL,)),
        {
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "call_1", "name": "search", "input": {"q": 1}},
            ],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 9, "output_tokens": 2},
        },
        CALLED | {"text": "<think>Hm.</think>\nLooking.", "tool_calls": (CALL,)},
    ),
    # Reward models and classifiers.
    "vllm-rm classify": Form(
        "vllm-rm:m@URL",
        ask(),
        {
            "id": "classify-1",
            "object": "list",
            "data": [{"index": 0, "label": "LABEL_0", "probs": [1.25], "num_classes": 1}],
            "usage": {"prompt_tokens": 9, "total_tokens": 9, "completion_tokens": 0},
        },
        {"text": '{"scores":[1.25],"label":"LABEL_0"}', "usage": (9, 0)},
    ),
    "vllm-rm pooling": Form(
        "vllm-rm:m@URL?endpoint=pooling",
        ask(),
        {"data": [{"index": 0, "object": "pooling", "data": [[0.5], [1.25]]}]},
        {"text": '{"scores":[1.25]}', "usage": (0, 0)},
    ),
    "sglang-rm": Form(
        "sglang-rm:m@URL?chat_template=TEMPLATE",
        ask(),
        {"embedding": [1.25], "meta_info": {"id": "1", "prompt_tokens": 9}},
        {"text": '{"scores":[1.25]}', "usage": (9, 0)},
    ),
}
"""By name, every way in which an engine is asked."""

BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "a page": b"<html><body>Please log in</body></html>",
    "half a reply": b'{"choices": [{"message": {"cont',
    "null": b"null",
    "a number": b"7",
    "a text": b'"yes"',
    "a list": b"[]",
    "a list of lists": b"[[[]]]",
    "an empty object": b"{}",
    "another object": b'{"ok": true}',
    "events": b'data: {"choices": [{"delta": {"content": "yes"}}]}\n\ndata: [DONE]\n\n',
    "Latin-1": '{"choices": [{"message": {"content": "é"}}], "content": "é"}'.encode("latin-1"),
    "binary": bytes(range(256)),
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"choices":' * 50_000,
    "a number of 5,000 digits": b"1" + b"0" * 5000,
    "no number": b"NaN",
    "too large": b'{"choices": "' + b"x" * (9 * 2**20) + b'"}',
}
"""Bodies that are no reply in any protocol: `failed`, with the cause `bad_response`."""


@dataclass(frozen=True)
class Shape:
    """A reply in the place of a form's good one, and what becomes of it."""

    form: str
    reply: Any
    becomes: str = "ok"
    """`ok`, or the status and the cause of the verdict."""
    read: dict[str, Any] = field(default_factory=dict)
    """Fields of the completion, where there is one."""


ASKED, LOGPROBS, TOOLS = "openai chat", "openai chat, logprobs", "openai chat, tools"
MAPS, IDS = "vllm completion, logprobs", "vllm chat, ids"
UNKNOWN = {"text": "yes", "usage": (0, 0)}
SHAPES: dict[str, Shape] = {
    "a refusal": Shape(ASKED, chat({"content": None, "refusal": "I won't"}), "invalid refused"),
    "a filter": Shape(ASKED, chat("", finish_reason="content_filter"), "invalid refused"),
    "Anthropic's refusal": Shape(
        "anthropic", {"content": [], "stop_reason": "refusal"}, "invalid refused"
    ),
    "broken off": Shape(ASKED, chat(finish_reason="abort"), "failed server_error"),
    "an error with status 200": Shape(
        ASKED, {"error": {"message": "busy", "code": 503}}, "failed server_error"
    ),
    "no message": Shape(ASKED, chat() | {"choices": [{"index": 0}]}, "failed bad_response"),
    "a message that is a number": Shape(ASKED, chat({"content": 7}), "failed bad_response"),
    "parts": Shape(ASKED, chat({"content": ["y", {"text": None}, {"text": "es"}]}), read=YES),
    "no content": Shape(ASKED, chat({"content": None}), read=YES | {"text": ""}),
    "half an emoji": Shape(ASKED, chat("yes\ud83d"), read=YES | {"text": "yes\ufffd"}),
    "cut off": Shape(ASKED, chat(finish_reason="length"), read=YES | {"finish_reason": "length"}),
    "no usage": Shape(ASKED, chat(usage=False), read=UNKNOWN),
    "usage as text": Shape(ASKED, chat(usage="9 tokens"), read=UNKNOWN),
    "counts as text and fractions": Shape(
        ASKED, chat(usage={"prompt_tokens": "9", "completion_tokens": 2.0}), read=YES
    ),
    "counts below nothing": Shape(
        ASKED, chat(usage={"prompt_tokens": -1, "completion_tokens": -(2**62)}), read=UNKNOWN
    ),
    "counts beyond all sense": Shape(
        ASKED, chat(usage={"prompt_tokens": 2**62, "completion_tokens": 1e18}), read=UNKNOWN
    ),
    "counts of more than 64 bits": Shape(
        ASKED, chat(usage={"prompt_tokens": 10**30, "completion_tokens": 1}), "failed bad_response"
    ),
    "Anthropic's counts": Shape(
        "anthropic",
        {
            "content": [{"type": "text", "text": "yes"}, {"type": "text", "text": None}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 9.0, "output_tokens": "2", "cache_read_input_tokens": -5},
        },
        read=YES,
    ),
    "no log-probabilities": Shape(LOGPROBS, chat(logprobs=None), "invalid options_not_visible"),
    "empty log-probabilities": Shape(
        LOGPROBS, chat(logprobs={"content": []}), "invalid options_not_visible"
    ),
    "probabilities": Shape(
        LOGPROBS, chat(logprobs=listed((("yes", 0.9), ("no", 0.08)))), "invalid bad_response"
    ),
    "probabilities in maps": Shape(
        MAPS, text(logprobs=mapped((("yes", 0.9), ("no", 0.08)))), "invalid bad_response"
    ),
    "a log-probability of 710": Shape(
        LOGPROBS, chat(logprobs=listed((("yes", 710.0), ("no", -2.0)))), "invalid bad_response"
    ),
    "more than all probability": Shape(
        LOGPROBS, chat(logprobs=listed((("yes", -0.1), ("no", -0.2)))), "invalid bad_response"
    ),
    "NaN for what was sampled": Shape(
        LOGPROBS, chat(logprobs=listed((("yes", math.nan), ("no", -3.0)))), "invalid bad_response"
    ),
    "Infinity": Shape(
        LOGPROBS, chat(logprobs=listed((("yes", -0.1), ("no", math.inf)))), "invalid bad_response"
    ),
    "-Infinity": Shape(
        LOGPROBS, chat(logprobs=listed((*TOP, ("never", -math.inf)))), read=SHOWN
    ),
    "masked": Shape(LOGPROBS, chat(logprobs=listed((*TOP, ("never", -9999.0)))), read=SHOWN),
    "listed twice": Shape(LOGPROBS, chat(logprobs=listed(TOP * 2)), read=SHOWN),
    "two tokens of one text": Shape(
        LOGPROBS,
        chat(logprobs=listed((("a", -1.0), ("a", -2.0)))),
        read={"logprobs": (("a", -1.0), ("a", -2.0))},
    ),
    "log-probabilities as text": Shape(
        LOGPROBS, chat(logprobs={"content": [{"token": "a", "logprob": "-1"}]}),
        "failed bad_response",
    ),
    "arguments as an object": Shape(
        TOOLS, chat(called({"q": 1}), finish_reason="stop"),
        read=CALLED | {"tool_calls": (ToolCall("call_1", "search", '{"q":1}'),)},
    ),
    "a call without a name": Shape(
        TOOLS, chat({"content": None, "tool_calls": [{"id": "1"}]}), "failed bad_response"
    ),
    "ids beyond 64 bits": Shape(
        IDS, FORMS[IDS].reply | chat("yes", token_ids=[10**30, 4]), "failed bad_response"
    ),
    "probabilities of sampled tokens": Shape(
        IDS,
        FORMS[IDS].reply
        | chat(token_ids=[4, 5], logprobs=listed((("ye", 0.5),), (("s", 0.9),))),
        read=YES | {"token_ids": (4, 5), "token_logprobs": None},
    ),
    "two scores for one conversation": Shape(
        "vllm-rm classify", {"data": [{"probs": [1.0]}, {"probs": [2.0]}]}, "failed bad_response"
    ),
    "fewer scores than classes": Shape(
        "vllm-rm classify", {"data": [{"probs": [1.0], "num_classes": 2.0}]}, "failed bad_response"
    ),
    "a score that is no number": Shape(
        "vllm-rm classify",
        {"data": [{"probs": [math.nan]}], "usage": -1},
        read={"text": '{"scores":[null]}', "usage": (0, 0)},
    ),
}  # fmt: skip
"""By name, what servers do differently, and badly."""
