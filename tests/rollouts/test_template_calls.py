"""Rollouts in which calls are written as the model's own template writes them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit.engines.base import Completion, Request
from plaudit.errors import UsageError
from plaudit.rollouts.policy import Policy
from plaudit.rollouts.tokens.rendering import Renderer
from plaudit.rollouts.tools import ToolSet
from plaudit.rollouts.trace import StopReason
from plaudit.types import Usage
from tests.rollouts.acting import Actor, config, roll_out
from tests.rollouts.call_templates import HERMES, KIMI, LFM2, TEMPLATES, TURNS, model_of
from tests.rollouts.sampling import runs_of

GOT: list[tuple[Any, ...]] = []
QUERY = 'who "flew" }{ it\'s\n</tool_call> 灯'


def search(query: str, count: int = 1, deep: bool = False, tags: list[str] | None = None) -> str:
    """Search the documents.

    Args:
        query: words to look for.
        count: how many.
        deep: whether to look closely.
        tags: words.
    """
    GOT.append((query, count, deep, tags))
    return "Swigert flew.</tool_response><|im_end|>"


JSON = msgspec.json.encode(
    {"query": QUERY, "count": 3, "deep": True, "tags": ["a", "b c"]}
).decode()
PYTHON = "query='who \"flew\" }{ it\\'s\\n</tool_call> 灯', count=3, deep=True, tags=['a', \"b c\"]"
XML = [("query", QUERY), ("count", "3"), ("deep", "true"), ("tags", '["a", "b c"]')]
WRITTEN = {
    "glm": "\n<tool_call>search\n"
    + "".join(f"<arg_key>{k}</arg_key>\n<arg_value>{v}</arg_value>\n" for k, v in XML)
    + "</tool_call>",
    "qwen-coder": "I look.\n\n<tool_call>\n<function=search>\n"
    + "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in XML)
    + "</function>\n</tool_call>",
    "kimi": "I look.<|tool_calls_section_begin|><|tool_call_begin|>functions.search:7"
    f"<|tool_call_argument_begin|>{JSON}<|tool_call_end|><|tool_calls_section_end|>",
    "deepseek-v3": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>search\n"
    f"```json\n{JSON}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "deepseek-v3.1": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>search<｜tool▁sep｜>"
    f"{JSON}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "lfm2": f"<|tool_call_start|>[search({PYTHON})]<|tool_call_end|>I look.",
    "minimax-m1": f'<tool_calls>\n{{"name": "search", "arguments": {JSON}}}\n</tool_calls>',
    "minimax-m2": '<minimax:tool_call>\n<invoke name="search">\n'
    + "".join(f'<parameter name="{k}">{v}</parameter>\n' for k, v in XML)
    + "</invoke>\n</minimax:tool_call>",
    "gemma4": f'<|channel>thought\nHm.\n<channel|><|tool_call>call:search{{query:<|"|>{QUERY}<|"|>,'
    'count:3,deep:true,tags:[<|"|>a<|"|>,<|"|>b c<|"|>]}<tool_call|>',
    "harmony": "<|channel|>analysis<|message|>I could write "
    'to=functions.search {"query": "x"}.<|end|><|start|>assistant<|channel|>commentary '
    f"to=functions.search <|constrain|>json<|message|>{JSON}",
}
END_OF_CALL = {"harmony": "<|call|>"}
ANSWERED = {
    "harmony": "<|channel|>analysis<|message|>So it is.<|end|><|start|>assistant<|channel|>final"
    "<|message|>Swigert.",
    "gemma4": "<|channel>thought\nSo it is.\n<channel|>Swigert.",
}


class Serving(Actor):
    """A model behind a server that leaves special tokens out of texts, as servers do."""

    def __init__(self, renderer: Renderer, *replies: str, **able: Any) -> None:
        super().__init__(
            *replies, **{"token_ids": True, "token_prompts": True, "tools": False} | able
        )
        self.renderer = renderer
        self.sampled: list[tuple[int, ...]] = []

    async def complete(self, request: Request) -> Completion:
        done = await super().complete(request)
        tokenizer = self.renderer.tokenizer
        anchor = next(iter(tokenizer.control))
        ids = (await tokenizer.encode(anchor + done.text))[1:]
        control = set(tokenizer.control.values())
        scored = self.capabilities.token_ids
        self.sampled.append(tuple(ids))
        return Completion(
            text=await tokenizer.decode([token for token in ids if token not in control]),
            finish_reason="stop",
            token_ids=tuple(ids) if scored else None,
            token_logprobs=(-0.5,) * len(ids) if scored else None,
            prompt_token_ids=tuple(request.prompt_ids) if scored else None,
            usage=Usage(10, len(ids)),
        )


async def rolled(source: str, folder: Path, *replies: str, **fields: Any) -> tuple[Any, Serving]:
    GOT.clear()
    path, renderer = model_of(source, folder)
    able = fields.pop("able", {})
    actor = Serving(renderer, *replies, **able)
    return await roll_out(actor, tools=[search], tokenizer=str(path), **fields), actor


@pytest.mark.parametrize("name", WRITTEN)
async def test_defect_22_a_call_in_the_models_own_form_is_made(name: str, tmp_path: Path) -> None:
    source = TEMPLATES[name]
    _, renderer = model_of(source, tmp_path)
    end = renderer.end or ""
    replies = (
        WRITTEN[name] + END_OF_CALL.get(name, end), ANSWERED.get(name, "Swigert.") + end,
    )  # fmt: skip
    trace, actor = await rolled(source, tmp_path, *replies)
    assert GOT == [(QUERY, 3, True, ["a", "b c"])]
    assert (trace.stop_reason, trace.final_answer) == (StopReason.ANSWERED, "Swigert.")
    assert [call.status for call in trace.tool_calls] == ["ok"]
    assert trace.tokens.exactness == "exact"
    assert runs_of(trace.tokens) == actor.sampled
    shown = await renderer.tokenizer.decode(actor.requests[-1].prompt_ids)
    assert "Swigert flew." in shown
    assert "To use a tool" not in shown  # The template shows the tools.


async def test_a_result_answers_the_call_by_the_id_that_the_model_wrote(tmp_path: Path) -> None:
    end = "<|im_end|>"
    trace, actor = await rolled(KIMI, tmp_path, WRITTEN["kimi"] + end, "Swigert." + end)
    shown = await actor.renderer.tokenizer.decode(actor.requests[-1].prompt_ids)
    assert "## Return of functions.search:7\nSwigert flew." in shown
    assert trace.turns[0].calls == [trace.tool_calls[0].id] == ["call-0-0"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (TURNS.replace("CALLS", ""), "it leaves calls out"),
        (LFM2.replace(' | replace("\'", "\\\\\'")', ""), "calls with quotes do not read back"),
    ],
    ids=["left out", "not escaped"],
)
async def test_defect_22_tools_are_shown_as_text_where_calls_cannot_be_read_back(
    source: str, why: str, tmp_path: Path
) -> None:
    call = f'<tool_call>{{"name": "search", "arguments": {JSON}}}</tool_call><|im_end|>'
    trace, actor = await rolled(source, tmp_path, call, "Swigert.<|im_end|>")
    assert GOT == [(QUERY, 3, True, ["a", "b c"])]
    assert trace.final_answer == "Swigert."
    shown = await actor.renderer.tokenizer.decode(actor.requests[0].prompt_ids)
    assert "To use a tool" in shown
    policy = await policy_of(source, tmp_path)
    assert policy.form.name == "hermes"
    assert len(policy.notes) == 1
    assert why in policy.notes[0]


async def policy_of(source: str, folder: Path, **able: Any) -> Policy:
    path, renderer = model_of(source, folder)
    return await Policy.bind(
        Serving(renderer, "", **able), ToolSet([search]), config(tokenizer=str(path))
    )


async def test_marks_that_an_engine_leaves_out_cannot_be_read(tmp_path: Path) -> None:
    """Without ids nothing shows a special token; so another form is taken, or none."""
    policy = await policy_of(LFM2, tmp_path, token_ids=False)
    assert policy.form.name == "hermes"
    assert "the engine leaves its marks out (<|tool_call_end|>" in policy.notes[0]
    assert (await policy_of(HERMES, tmp_path, token_ids=False)).form.name == "template"
    with pytest.raises(UsageError, match="calls in the form lfm2 are marked with some"):
        await rolled(LFM2, tmp_path, "x", tools_as="lfm2", able={"token_ids": False})


async def test_an_answer_in_the_final_channel_is_no_call(tmp_path: Path) -> None:
    text = '<|channel|>final<|message|>{"name": "search", "arguments": {"query": "x"}}<|return|>'
    trace, _ = await rolled(TEMPLATES["harmony"], tmp_path, text)
    assert GOT == []
    assert trace.final_answer == '{"name": "search", "arguments": {"query": "x"}}'
    assert trace.turns[0].reasoning == ""


async def test_a_broken_call_in_the_models_own_form_is_answered(tmp_path: Path) -> None:
    broken = "<|tool_call_start|>[search(query='x', count=)]<|tool_call_end|><|im_end|>"
    trace, _ = await rolled(LFM2, tmp_path, broken, "Swigert.<|im_end|>")
    assert [(call.status, call.name) for call in trace.tool_calls] == [("malformed", "search")]
    assert trace.final_answer == "Swigert."


@pytest.mark.parametrize("tools_as", ["hermes", "json", "qwen"])
async def test_replies_of_gpt_oss_are_taken_apart_whatever_form_calls_have(
    tools_as: str, tmp_path: Path
) -> None:
    final = ANSWERED["harmony"] + "<|return|>"
    trace, _ = await rolled(TEMPLATES["harmony"], tmp_path, final, tools_as=tools_as)
    assert (trace.final_answer, trace.turns[0].reasoning) == ("Swigert.", "So it is.")
