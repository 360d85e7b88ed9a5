"""Small chat templates of our own making, each writing calls as one family of models does."""

import re
from pathlib import Path

from plaudit.engines.chat_template import ChatTemplate
from plaudit.rollouts.tokens.rendering import Renderer, load_renderer
from tests.rollouts.families import DAY, Family, make_with

TURNS = (
    "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}{% endfor %}<|im_end|>\n"
    "{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}"
    "{% if m.tool_calls %}CALLS{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
EACH = "{% for c in m.tool_calls %}{% set f = c.function %}ONE{% endfor %}"
ITEMS = "{% for k, v in f.arguments.items() %}ITEM{% endfor %}"
PLAIN = "{{ v if v is string else v | tojson }}"


def turns(calls: str) -> str:
    """A template in the manner of ChatML that writes calls in this way."""
    return TURNS.replace("CALLS", calls)


def each(one: str, item: str = "") -> str:
    return turns(EACH.replace("ONE", one).replace("ITEMS", ITEMS.replace("ITEM", item)))


GLM = each(
    "{{ '\n<tool_call>' + f.name + '\n' }}ITEMS</tool_call>",
    "<arg_key>{{ k }}</arg_key>{{ '\n' }}<arg_value>" + PLAIN + "</arg_value>{{ '\n' }}",
)
QWEN_CODER = each(
    "{{ '\n<tool_call>\n<function=' + f.name + '>\n' }}ITEMS</function>{{ '\n' }}</tool_call>",
    "{{ '<parameter=' + k + '>\n' }}{{ v | tojson if v is mapping or (v is iterable and v is not "
    "string) else v | string }}{{ '\n</parameter>\n' }}",
)
KIMI = turns(
    "<|tool_calls_section_begin|>{% for c in m.tool_calls %}<|tool_call_begin|>{{ c.id }}"
    "<|tool_call_argument_begin|>{{ c.function.arguments | tojson }}<|tool_call_end|>{% endfor %}"
    "<|tool_calls_section_end|>"
).replace(
    "{{ m.content or '' }}",
    "{{ '## Return of ' + m.tool_call_id + '\n' if m.role == 'tool' }}{{ m.content }}",
)
DEEPSEEK_V3 = turns(
    "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}{{ '\n' if not loop.first }}"
    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ c.function.name + '\n```json\n' + "
    "c.function.arguments + '\n```' }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>"
)
DEEPSEEK_V31 = turns(
    "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.function.name }}"
    "<｜tool▁sep｜>{{ c.function.arguments | tojson }}<｜tool▁call▁end｜>{% endfor %}"
    "<｜tool▁calls▁end｜>"
)
DEEPSEEK_V32 = turns(
    "{{ '\n\n' }}<｜DSML｜function_calls>{% for c in m.tool_calls %}{{ '\n' }}<｜DSML｜invoke "
    "name=\"{{ c.function.name }}\">{{ '\n' }}{% for k, v in c.function.arguments.items() %}"
    "<｜DSML｜parameter name=\"{{ k }}\" string=\"{{ 'true' if v is string else 'false' }}\">"
    + PLAIN
    + "</｜DSML｜parameter>{{ '\n' }}{% endfor %}</｜DSML｜invoke>{% endfor %}{{ '\n' }}"
    "</｜DSML｜function_calls>"
)
LFM2 = turns(
    "<|tool_call_start|>[{% for c in m.tool_calls %}{{ ', ' if not loop.first }}"
    "{{ c.function.name }}({% for k, v in c.function.arguments.items() %}{{ ', ' if not loop.first "
    "}}{{ k }}={% if v is string %}{{ \"'\" + v | replace('\\\\', '\\\\\\\\') | replace(\"'\", "
    "\"\\\\'\") | replace('\n', '\\\\n') + \"'\" }}{% elif v is mapping or v is iterable %}"
    "{{ v | tojson }}{% else %}{{ v | string }}{% endif %}{% endfor %}){% endfor %}]"
    "<|tool_call_end|>"
)
LFM2_JSON = turns(
    "<|tool_call_start|>[{% for c in m.tool_calls %}{{ ', ' if not loop.first }}"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "{% endfor %}]<|tool_call_end|>"
)
MINIMAX_M1 = turns(
    "<tool_calls>{{ '\n' }}{% for c in m.tool_calls %}"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "{{ '\n' }}{% endfor %}</tool_calls>"
)
MINIMAX_M2 = turns(
    "{{ '\n' }}<minimax:tool_call>{{ '\n' }}{% for c in m.tool_calls %}"
    "{{ '<invoke name=\"' + c.function.name + '\">\n' }}"
    "{% for k, v in c.function.arguments.items() %}"
    "{{ '<parameter name=\"' + k + '\">' }}" + PLAIN + "{{ '</parameter>\n' }}{% endfor %}"
    "{{ '</invoke>\n' }}{% endfor %}</minimax:tool_call>"
)
HERMES = each(
    '{{ \'\n<tool_call>\n{"name": "\' + f.name + \'", "arguments": \' }}{{ f.arguments | tojson }}'
    "{{ '}\n</tool_call>' }}"
)
LLAMA = turns(
    "{% if m.tool_calls | length != 1 %}{{ raise_exception('one call at a time') }}{% endif %}"
    "{% set f = m.tool_calls[0].function %}"
    '{{ \'{"name": "\' + f.name + \'", "parameters": \' }}{{ f.arguments | tojson }}}'
)
MISTRAL = turns(
    "{% for c in m.tool_calls %}[TOOL_CALLS]{{ c.function.name }}[ARGS]"
    "{{ c.function.arguments | tojson }}{% endfor %}"
)
VALUE = (
    "{% macro value(v) %}{% if v is string %}{{ '<|\"|>' + v + '<|\"|>' }}{% elif v is mapping %}"
    "{{ '{' }}{% for k, w in v | dictsort %}{{ ',' if not loop.first }}{{ k }}:{{ value(w) }}"
    "{% endfor %}{{ '}' }}"
    "{% elif v is boolean %}{{ 'true' if v else 'false' }}{% elif v is none %}null"
    "{% elif v is iterable %}[{% for w in v %}{{ ',' if not loop.first }}{{ value(w) }}"
    "{% endfor %}]"
    "{% else %}{{ v }}{% endif %}{% endmacro %}"
)
GEMMA4 = VALUE + (
    "{% if tools %}<|turn>system\n{% for t in tools %}<|tool>{{ t | tojson }}<tool|>{% endfor %}"
    "<turn|>\n{% endif %}{% for m in messages %}{% if m.role == 'tool' %}"
    "<|tool_response>{{ m.content }}<tool_response|>{% else %}"
    "<|turn>{{ 'model' if m.role == 'assistant' else m.role }}{{ '\n' }}"
    "{% if m.reasoning_content %}{{ '<|channel>thought\n' + m.reasoning_content + '\n<channel|>' }}"
    "{% endif %}{% for c in m.tool_calls or [] %}<|tool_call>call:{{ c.function.name }}"
    "{{ value(c.function.arguments) }}<tool_call|>{% endfor %}{{ m.content }}<turn|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)
HARMONY = (
    "{% if tools %}<|start|>developer<|message|># Tools\n{% for t in tools %}{{ t | tojson }}"
    "{% endfor %}<|end|>{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% if m.tool_calls %}{% set f = m.tool_calls[0].function %}"
    "<|start|>assistant to=functions.{{ f.name }}<|channel|>commentary json<|message|>"
    "{{ f.arguments | tojson }}<|call|>"
    "{% else %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|return|>{% endif %}"
    "{% elif m.role == 'tool' %}<|start|>functions.{{ m.name }} to=assistant<|channel|>commentary"
    "<|message|>{{ m.content | tojson }}<|end|>{% else %}<|start|>{{ m.role }}<|message|>"
    "{{ m.content }}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant"
    "{% endif %}"
)
TEMPLATES = {
    "glm": GLM,
    "glm-one-line": GLM.replace("{{ '\n' }}", "").replace("+ '\n' }}", "}}"),
    "qwen-coder": QWEN_CODER,
    "kimi": KIMI,
    "deepseek-v3": DEEPSEEK_V3,
    "deepseek-v3.1": DEEPSEEK_V31,
    "deepseek-v3.2": DEEPSEEK_V32,
    "lfm2": LFM2,
    "lfm2-json": LFM2_JSON,
    "minimax-m1": MINIMAX_M1,
    "minimax-m2": MINIMAX_M2,
    "gemma4": GEMMA4,
    "harmony": HARMONY,
    "harmony-channel-first": HARMONY.replace(
        "<|start|>assistant to=functions.{{ f.name }}<|channel|>commentary json<|message|>",
        "<|start|>assistant<|channel|>commentary to=functions.{{ f.name }} <|constrain|>json"
        "<|message|>",
    ),
    "hermes": HERMES,
    "llama": LLAMA,
    "mistral": MISTRAL,
}
FORMS = {
    "glm-one-line": "glm",
    "qwen-coder": "qwen",
    "deepseek-v3": "deepseek",
    "deepseek-v3.1": "deepseek",
    "deepseek-v3.2": "minimax",
    "lfm2-json": "lfm2",
    "minimax-m1": "minimax",
    "minimax-m2": "minimax",
    "gemma4": "gemma",
    "harmony-channel-first": "harmony",
}
"""Where the form has another name than the template."""


def template_of(source: str, name: str = "mine.jinja") -> ChatTemplate:
    return ChatTemplate(name, {"default": source}, {})


_SPECIAL = re.compile(
    r"<\|[\w\"]*\|>|<\|\w+>|<\w+\|>|<｜[\w▁]+｜>|</?minimax:tool_call>|\[[A-Z_]+\]"
)


def write_model(source: str, folder: Path) -> Path:
    """Write a model's folder whose tokenizer knows the marks of a template as special tokens."""
    ends = ("<|im_end|>", "<turn|>", "<|return|>")
    end = next(mark for mark in ends if mark in source)
    control = tuple(sorted(set(_SPECIAL.findall(source)) | {end}))
    return make_with(Family("own", control, eos=end), folder, source)


def model_of(source: str, folder: Path) -> tuple[Path, Renderer]:
    written = write_model(source, folder)
    return written, load_renderer(written, DAY)
