"""What ends a reply: one rule for the templates of many families, in minimal forms of our own."""

import itertools
from typing import NamedTuple

import pytest

from plaudit.engines.chat_template import ChatTemplate
from plaudit.rollouts.tokens.chats import tokenize_chats
from plaudit.rollouts.tokens.log import TokenLog
from plaudit.rollouts.tokens.rendering import Renderer, load_renderer
from plaudit.rollouts.tokens.tokenizer import FileTokenizer
from plaudit.types import Message
from tests.rollouts.families import DAY, Family, make_with

CALL = {
    "id": "call00001",
    "type": "function",
    "function": {"name": "find", "arguments": {"what": "harbour"}},
}


def turns(user: str, assistant: str, result: str = "", opening: str = "", prompt: str = "") -> str:
    """Return a template of what it writes for each message; `m` is the message."""
    return (
        f"{opening}{{% for m in messages %}}{{% if m.role == 'assistant' %}}{assistant}"
        f"{{% elif m.role == 'tool' %}}{result or user}{{% else %}}{user}{{% endif %}}"
        f"{{% endfor %}}{{% if add_generation_prompt %}}{prompt}{{% endif %}}"
    )


CALLS = (
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.arguments | tojson }}</call>{% endfor %}"
)
GLM = Family("glm", ("[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|observation|>"))
HARMONY = Family(
    "harmony", ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>", "<|call|>")
)
COHERE = Family(
    "cohere", ("<BOS>", "<|TURN|>", "<|USER|>", "<|BOT|>", "<|END_RESPONSE|>", "<|END_TURN|>")
)
PHI = Family("phi", ("<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"))
CHATML = Family("chatml", ("<|im_start|>", "<|im_end|>", "<|endoftext|>"))
DEEPSEEK = Family("deepseek", ("<BOS>", "<User>", "<Assistant>", "<end_of_sentence>"))
TURN = Family("turn", ("<bos>", "<|turn>", "<turn|>", "<|call|>", "<|response>"))
CHATML_TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}"

FORMS = {
    # No end of turn: the next message's first token stops the model.
    "glm": (
        GLM,
        turns(
            "<|user|>\n{{ m.content }}",
            "<|assistant|>\n{{ m.content or '' }}" + CALLS,
            "<|observation|>\n{{ m.content }}",
            "[gMASK]<sop>",
            "<|assistant|>\n",
        ),
        ("Yes.<|user|>", "No."),
        ("</call><|observation|>", "No."),
    ),
    # Another end in mid-conversation than at the end; the first one stands in the opening too.
    "gpt-oss": (
        HARMONY,
        turns(
            "<|start|>user<|message|>{{ m.content }}<|end|>",
            "{% if m.tool_calls %}<|start|>assistant to=find<|channel|>commentary<|message|>"
            "{{ m.tool_calls[0].function.arguments | tojson }}<|call|>{% else %}"
            "<|start|>assistant<|channel|>final<|message|>{{ m.content }}"
            "{{ '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}"
            "{% endif %}",
            "<|start|>find to=assistant<|message|>{{ m.content }}<|end|>",
            "<|start|>system<|message|>Be brief.<|end|>",
            "<|start|>assistant",
        ),
        ("Yes.<|end|>", "No.<|return|>"),
        ("}<|call|>", "No.<|return|>"),
    ),
    # Two tokens that touch.
    "cohere": (
        COHERE,
        turns(
            "<|TURN|><|USER|>{{ m.content }}<|END_TURN|>",
            "<|TURN|><|BOT|>{{ m.content or '' }}" + CALLS + "<|END_RESPONSE|><|END_TURN|>",
            opening="<BOS>",
            prompt="<|TURN|><|BOT|>",
        ),
        ("Yes.<|END_RESPONSE|><|END_TURN|>", "No.<|END_RESPONSE|><|END_TURN|>"),
        ("</call><|END_RESPONSE|><|END_TURN|>", "No.<|END_RESPONSE|><|END_TURN|>"),
    ),
    # The end of the text, after the last end of turn, is no part of the reply.
    "phi": (
        PHI,
        turns(
            "<|user|>\n{{ m.content }}<|end|>\n",
            "<|assistant|>\n{{ m.content or '' }}" + CALLS + "<|end|>\n",
            prompt="<|assistant|>\n",
        )
        + "{% if not add_generation_prompt %}<|endoftext|>{% endif %}",
        ("Yes.<|end|>", "No.<|end|>"),
        ("</call><|end|>", "No.<|end|>"),
    ),
    "chatml": (
        CHATML,
        turns(
            CHATML_TURN + "<|im_end|>\n",
            "<|im_start|>assistant\n{{ m.content or '' }}" + CALLS + "<|im_end|>\n",
            prompt="<|im_start|>assistant\n",
        ),
        ("Yes.<|im_end|>", "No.<|im_end|>"),
        ("</call><|im_end|>", "No.<|im_end|>"),
    ),
    # Ends all messages but the last one.
    "open at the end": (
        CHATML,
        turns(
            CHATML_TURN + "{% if not loop.last or add_generation_prompt %}<|im_end|>\n{% endif %}",
            "<|im_start|>assistant\n{{ m.content or '' }}"
            + CALLS
            + "{% if not loop.last %}<|im_end|>\n{% endif %}",
            prompt="<|im_start|>assistant\n",
        ),
        ("Yes.<|im_end|>", "No."),
        ("</call><|im_end|>", "No."),
    ),
    "deepseek": (
        DEEPSEEK,
        turns(
            "<User>{{ m.content }}",
            "<Assistant>{{ m.content or '' }}" + CALLS + "<end_of_sentence>",
            opening="<BOS>",
            prompt="<Assistant>",
        ),
        ("Yes.<end_of_sentence>", "No.<end_of_sentence>"),
        ("</call><end_of_sentence>", "No.<end_of_sentence>"),
    ),
    # After a call, the model stops with the token that opens the result.
    "gemma 4": (
        TURN,
        turns(
            "<|turn>{{ m.role }}\n{{ m.content }}<turn|>\n",
            "<|turn>model\n{{ m.content or '' }}"
            + CALLS
            + "{{ '<|response>' if m.tool_calls else '<turn|>\n' }}",
            "{{ m.content }}<turn|>\n",
            "<bos>",
            "<|turn>model\n",
        ),
        ("Yes.<turn|>", "No.<turn|>"),
        ("</call><|response>", "No.<turn|>"),
    ),
}


class Model(NamedTuple):
    renderer: Renderer
    template: ChatTemplate
    plain: tuple[str, str]
    """Two replies as they are learned, the second one the last of its conversation."""
    calls: tuple[str, str]
    """The end of a reply with a call, and the reply after the result."""


@pytest.fixture(params=FORMS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    family, source, plain, calls = FORMS[request.param]
    folder = make_with(family, tmp_path_factory.mktemp("model"), source)
    return Model(load_renderer(folder, DAY), ChatTemplate.load(folder, DAY), plain, calls)


def question(text: str = "Where is the harbour?") -> dict[str, object]:
    return {"role": "user", "content": text}


def learned(model: Model, chat: list[dict[str, object]]) -> list[str]:
    """The stretches of a chat that the mask covers."""
    tokenizer = model.renderer.tokenizer
    assert isinstance(tokenizer, FileTokenizer)
    [tokens] = tokenize_chats([chat], tokenizer, model.template)
    kept = itertools.groupby(zip(tokens.mask, tokens.ids, strict=True), key=lambda one: one[0])
    runs = [[token for _, token in run] for in_mask, run in kept if in_mask]
    return [tokenizer.native.decode(run, skip_special_tokens=False) for run in runs]


def test_defect_25_the_tokens_with_which_a_model_stops_are_in_the_mask(model: Model) -> None:
    yes, no = {"role": "assistant", "content": "Yes."}, {"role": "assistant", "content": "No."}
    assert learned(model, [question(), yes, question(), no]) == list(model.plain)
    assert learned(model, [question(), no]) == [model.plain[1]]


def test_defect_25_whatever_follows(model: Model) -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    result = {"role": "tool", "content": "North.", "name": "find", "tool_call_id": "call00001"}
    no = {"role": "assistant", "content": "No."}
    found = learned(model, [question(), call, result, no])
    assert len(found) == 2
    assert found[0].endswith(model.calls[0])
    assert found[1] == model.calls[1]


async def test_defect_25_no_end_stands_twice_in_a_rollout(model: Model) -> None:
    """Whatever the model stopped with, the next message has its header, and no other end."""
    renderer = model.renderer
    asked = [Message("user", "Where?")]
    said, new = [*asked, Message("assistant", "Yes.")], [Message("user", "Sure?")]
    rendered = renderer.template.render(renderer.template.chat([*said, *new]), prompt=True)
    end = model.plain[0].removeprefix("Yes.")
    header = rendered.partition("Yes.")[2].removeprefix(end)
    for stop in {end, model.plain[1].removeprefix("No.")} - {""}:
        log = TokenLog()
        log.begin(await renderer.prompt_ids(asked))
        log.sampled(await renderer.tokenizer.encode("Yes." + stop))
        log.append(await renderer.between(said, new, ended=log.ids[-1]))
        text = await renderer.tokenizer.decode(log.ids)
        assert text.partition("Yes.")[2] == stop + header


async def test_a_header_stays_where_the_model_stopped_otherwise(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    family = Family("glm", (*GLM.control, "<|endoftext|>"))
    folder = make_with(family, tmp_path_factory.mktemp("model"), FORMS["glm"][1])
    renderer = load_renderer(folder, DAY)
    said = [Message("user", "Where?"), Message("assistant", "Yes.")]
    stop = renderer.tokenizer.control["<|endoftext|>"]
    ids = await renderer.between(said, [Message("user", "Sure?")], ended=stop)
    assert await renderer.tokenizer.decode(ids) == "<|user|>\nSure?<|assistant|>\n"
    assert await renderer.between(said, [Message("user", "Sure?")], ended=None) == ids
