"""Calls in the chat templates that TRL ships: read back the same, shown as text, or refused."""

import importlib.metadata
import importlib.util
from pathlib import Path

import msgspec
import pytest
from scripts import tool_forms

from plaudit.engines.chat_template import ChatTemplate
from plaudit.rollouts.call_probe import probe_calls
from plaudit.rollouts.calls.parsing import read_reply
from plaudit.rollouts.tokens import conforming

if importlib.util.find_spec("trl") is None:
    pytest.skip("TRL is not installed: scripts/contracts trl has it", allow_module_level=True)

TEMPLATES = list(tool_forms.templates())
ARGUMENTS = {"place": 'Zwönitz, "Markt" }{ it\'s\n</tool_call>', "count": 7, "tags": ["a b", None]}
SCHEMA = {"properties": {"count": {"type": "integer"}, "tags": {"type": "array"}}}
TOOL = tool_forms.ToolSpec("look_up", "Looks up.", msgspec.Raw(msgspec.json.encode(SCHEMA)))


def name_of(template: ChatTemplate) -> str:
    return template.name


def test_templates_are_found() -> None:
    assert len(TEMPLATES) >= 24


@pytest.mark.parametrize("template", TEMPLATES, ids=name_of)
def test_defect_22_a_call_comes_back_or_is_never_written_in_that_form(
    template: ChatTemplate,
) -> None:
    outcome = tool_forms.outcome_of(template)
    assert outcome.kind in ("read back the same", "text form", "refused")
    if outcome.kind != "read back the same":
        assert outcome.detail
        return
    function = {"name": "look_up", "arguments": ARGUMENTS}
    turn = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "abcdefghi", "type": "function", "function": function}],
    }
    chat = [{"role": "user", "content": "?"}, turn]
    text = conforming.render(template, chat, [TOOL])
    prompt = conforming.render(template, chat[:1], [TOOL], prompt=True)
    end = conforming.render(template, [chat[0], {"role": "assistant", "content": "w31zq"}], [TOOL])
    reply = read_reply(
        text[len(prompt) if text.startswith(prompt) else len(prompt.rstrip()) :].removesuffix(
            end.rpartition("w31zq")[2]
        ),
        tools=[TOOL],
        forms=probe_calls(template).forms,
    )
    assert [(call.name, msgspec.json.decode(call.arguments)) for call in reply.calls] == [
        ("look_up", ARGUMENTS)
    ]


def test_the_table_in_the_docs_is_that_of_this_version() -> None:
    page = Path(tool_forms.PAGE).read_text(encoding="utf-8")
    version = importlib.metadata.version("trl")
    if f"chat templates of TRL {version}:" not in page:
        pytest.skip(f"the table was made with another TRL than {version}: run scripts/tool_forms")
    assert tool_forms.table() in page, "run: scripts/tool_forms"
