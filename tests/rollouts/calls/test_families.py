"""Calls as model families write them: read exactly, or typed as malformed, one for one."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.engines.base import ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.calls.forms import FORMS, CallForm, write_call
from plaudit.rollouts.calls.parsing import MOST_CALLS, read_reply
from plaudit.rollouts.calls.reply import ParsedReply
from plaudit.rollouts.calls.syntax import TAGGED
from tests.rollouts.calls.test_parsing import objects
from tests.support.examples import drawn

SCHEMA = {
    "type": "object",
    "properties": {
        "query": {"type": "string"},
        "k": {"type": "integer"},
        "deep": {"type": "boolean"},
        "area": {"type": "object"},
        "tags": {"type": "array"},
        "share": {"type": "number"},
        "until": {"type": ["string", "null"]},
    },
}
SEARCH = ToolSpec("search", "Search.", msgspec.Raw(msgspec.json.encode(SCHEMA)))


def made(reply: ParsedReply) -> list[tuple[str, dict]]:
    return [(call.name, msgspec.json.decode(call.arguments)) for call in reply.calls]


def read(text: str, *forms: CallForm) -> ParsedReply:
    return read_reply(text, tools=[SEARCH], forms=forms or FORMS)


# ---------------------------------------------------------------- as models write them

BAR, GAP = "\uff5c", "\u2581"


def deepseek(words: str, gap: str = GAP) -> str:
    return f"<{BAR}{words.replace(' ', gap)}{BAR}>"


CALLS, CALL, SEP, OVER, DONE = map(
    deepseek, ("tool calls begin", "tool call begin", "tool sep", "tool call end", "tool calls end")
)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        (
            "glm",
            "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>a\n b</arg_value>\n"
            "<arg_key>k</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
            [{"query": "a\n b", "k": 3}],
        ),
        (
            "glm",
            "<tool_call>search<arg_key>query</arg_key><arg_value>42</arg_value></tool_call>"
            "<tool_call>search<arg_key>deep</arg_key><arg_value>true</arg_value></tool_call>",
            [{"query": "42"}, {"deep": True}],
        ),
        ("glm", "<tool_call>search\n</tool_call>", [{}]),
        (
            "glm",
            "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>a </tool_call> b</arg_value>\n"
            "</tool_call>",
            [{"query": "a </tool_call> b"}],
        ),
        (
            "harmony",
            "<|channel|>commentary to=functions.search <|constrain|>json<|message|>"
            '{"query": "a <|call|> b"}<|call|>',
            [{"query": "a <|call|> b"}],
        ),
        (
            "harmony",
            ' to=functions.search<|channel|>commentary json<|message|>{"k": 2}',
            [{"k": 2}],
        ),
        (
            "harmony",
            "<|start|>assistant<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
            '<|channel|>analysis to=functions.search code<|message|>{"k": 1}<|call|>',
            [{"k": 1}],
        ),
        (
            "gemma",
            '<|tool_call>call:search{query:<|"|>a } "b" {<|"|>,k:3,deep:false,until:null,'
            'area:{at:[1,-2.5,<|"|>x:y<|"|>]},tags:[]}<tool_call|>',
            [
                {
                    "query": 'a } "b" {',
                    "k": 3,
                    "deep": False,
                    "until": None,
                    "area": {"at": [1, -2.5, "x:y"]},
                    "tags": [],
                }
            ],
        ),
        (
            "gemma",
            "<|tool_call>call:search{}<tool_call|><|tool_call>call:search{tags:[None,True]}"
            "<tool_call|>",
            [{}, {"tags": [None, True]}],
        ),
        (
            "gemma",
            "<start_function_call>call:search{query:<escape>a<escape>}<end_function_call>",
            [{"query": "a"}],
        ),
        (
            "deepseek",
            f'{CALLS}{CALL}function{SEP}search\n```json\n{{"query": "a"}}\n```{OVER}\n'
            f'{CALL}function{SEP}search\n```json\n{{"query": "``` b"}}\n```{OVER}{DONE}',
            [{"query": "a"}, {"query": "``` b"}],
        ),
        (
            "deepseek",
            f'{CALLS}{CALL}search{SEP}{{"query": "{OVER}"}}{OVER}{CALL}search{SEP}{{}}{OVER}{DONE}',
            [{"query": OVER}, {}],
        ),
        (
            "deepseek",
            "".join(
                deepseek(words, "_") if mark else words
                for mark, words in [
                    (1, "tool calls begin"),
                    (1, "tool call begin"),
                    (0, "search"),
                    (1, "tool sep"),
                    (0, '{"k": 1}'),
                    (1, "tool call end"),
                    (1, "tool calls end"),
                ]
            ),
            [{"k": 1}],
        ),
        (
            "kimi",
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0"
            '<|tool_call_argument_begin|>{"query": "a"}<|tool_call_end|><|tool_call_begin|>'
            "functions.search:1<|tool_call_argument_begin|>{}<|tool_call_end|>"
            "<|tool_calls_section_end|>",
            [{"query": "a"}, {}],
        ),
        (
            "lfm2",
            "<|tool_call_start|>[search(query='it\\'s \"so\"', k=3, deep=True, until=None), "
            "search(area={\"a\": [1, null, 'x', true]}, tags=('a', \"b\\u00e9\\n\"), share=-.5)]"
            "<|tool_call_end|>",
            [
                {"query": 'it\'s "so"', "k": 3, "deep": True, "until": None},
                {"area": {"a": [1, None, "x", True]}, "tags": ["a", "bé\n"], "share": -0.5},
            ],
        ),
        ("lfm2", "<|tool_call_start|>search(query='')<|tool_call_end|>", [{"query": ""}]),
        (
            "lfm2",
            '<|tool_call_start|>[search(query="""a "b"\nc""")]<|tool_call_end|>',
            [{"query": 'a "b"\nc'}],
        ),
        (
            "lfm2",
            '<|tool_call_start|>[{"name": "search", "arguments": {"k": 1}}]<|tool_call_end|>',
            [{"k": 1}],
        ),
        (
            "minimax",
            '<minimax:tool_call>\n<invoke name="search">\n<parameter name="query"> a\n b '
            '</parameter>\n<parameter name="k">7</parameter>\n</invoke>\n<invoke name="search">\n'
            "</invoke>\n</minimax:tool_call>",
            [{"query": " a\n b ", "k": 7}, {}],
        ),
        (
            "minimax",
            '<tool_calls>\n{"name": "search", "arguments": {"k": 1}}\n'
            '{"name": "search", "arguments": {"query": "</tool_calls>"}}\n</tool_calls>',
            [{"k": 1}, {"query": "</tool_calls>"}],
        ),
        (
            "minimax",
            f'<{BAR}DSML{BAR}function_calls>\n<{BAR}DSML{BAR}invoke name="search">\n'
            f'<{BAR}DSML{BAR}parameter name="query" string="true">7</{BAR}DSML{BAR}parameter>\n'
            f'<{BAR}DSML{BAR}parameter name="else" string="false">[1]</{BAR}DSML{BAR}parameter>\n'
            f"</{BAR}DSML{BAR}invoke>\n</{BAR}DSML{BAR}function_calls>",
            [{"query": "7", "else": [1]}],
        ),
        (
            "qwen",
            "<tool_call>\n<function=search>\n<parameter=query>\na </tool_call>\n</parameter>\n"
            "</function>\n</tool_call>",
            [{"query": "a </tool_call>"}],
        ),
    ],
)
def test_defect_22_each_family_is_read_as_its_models_write(
    form: CallForm, text: str, expected: list[dict]
) -> None:
    for forms in ((form,), FORMS, TAGGED):
        reply = read_reply(text, tools=[SEARCH], forms=forms, turn=2)
        assert made(reply) == [("search", arguments) for arguments in expected]
        assert reply.malformed == ()
        assert [call.id for call in reply.calls] == [f"call-2-{n}" for n in range(len(expected))]
        assert {call.form for call in reply.calls} == {form}
        assert all(0 <= call.start < call.end <= len(text) for call in reply.calls)


@pytest.mark.parametrize("form", TAGGED)
def test_prose_around_a_call_is_kept_and_thoughts_are_none(form: CallForm) -> None:
    call = write_call(form, "search", {"query": "moon"})
    reply = read(f"<think>or {call}</think>First this.\n{call}", form)
    assert made(reply) == [("search", {"query": "moon"})]
    assert (reply.text, reply.reasoning) == ("First this.", f"or {call}")


def test_thoughts_of_gemma_and_gpt_oss_hold_no_calls() -> None:
    call = write_call("gemma", "search", {"query": "x"})
    reply = read(f"<|channel>thought\nor {call}\n<channel|>So it is.", "gemma")
    assert (reply.calls, reply.text, reply.reasoning) == ((), "So it is.", f"or {call}")
    reply = read(f"or {call}<channel|>So it is.", "gemma")
    assert (reply.calls, reply.text, reply.reasoning) == ((), "So it is.", f"or {call}")
    thought = 'to=functions.search {"query": "x"}'
    text = (
        f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant<|channel|>final"
        '<|message|>{"name": "search", "arguments": {}}<|return|>'
    )
    for forms in (("harmony",), FORMS):
        reply = read_reply(text, tools=[SEARCH], forms=forms)
        assert (reply.calls, reply.malformed, reply.reasoning) == ((), (), thought)
        assert reply.text == '{"name": "search", "arguments": {}}'
    assert read("<|channel|>analysis<|message|>so", "harmony").thought_open


def test_messages_to_oneself_are_thoughts_and_to_the_user_the_answer() -> None:
    text = " to=self<|message|>Hm.<|eom|><|start|>assistant to=user<|message|>It is 4."
    reply = read(text, "harmony")
    assert (reply.reasoning, reply.text, reply.attempts) == ("Hm.", "It is 4.", ())


def test_the_id_that_a_model_wrote_is_kept_beside_the_calls_own() -> None:
    (call,) = read(write_call("kimi", "search", {}), "kimi").calls
    assert (call.id, call.written_id) == ("call-0-0", "functions.search:0")


def test_what_a_text_says_of_forms_is_no_call() -> None:
    for text in (
        "Wrap them in <function_calls> or <tool_calls> tags.",
        "In XML: <invoke name='x'></invoke>.",
        "The header is <|start|>assistant, then <|channel|>.",
        "call:search{} and functions.search:0",
        "[search(query='x')]",
    ):
        reply = read(text)
        assert (reply.attempts, reply.text) == ((), text)


# ---------------------------------------------------------------- what is broken

QWEN = (
    "<tool_call>\n<function=search>\n<parameter=query>\nmoon\n</parameter>\n</function>\n"
    "</tool_call>"
)
BROKEN_QWEN = {
    "the argument is not closed": QWEN.replace("</parameter>\n", ""),
    "the function is not closed": QWEN.replace("</function>\n", ""),
    "the call is not closed": QWEN.replace("\n</tool_call>", ""),
    "only the call is closed": QWEN.replace("</parameter>\n</function>\n", ""),
    "an argument is given twice": QWEN.replace(
        "</function>", "<parameter=query>\nsun\n</parameter>\n</function>"
    ),
    "the function has no name": QWEN.replace("=search", "="),
    "it breaks off in a value": QWEN[:45],
    "it breaks off in a tag": QWEN[:25],
    "it breaks off after a tag": QWEN[:30],
    "words stand where an argument should": QWEN.replace("<parameter=query>\n", "query: "),
    "the key is not closed": QWEN.replace("<parameter=query>", "<parameter=query"),
    "nothing closes anything": "<tool_call>\n<function=search>\n<parameter=query>\nmoon",
    "without the outer tags": "<function=search>\n<parameter=query>\nmoon\n</function>",
}


@pytest.mark.parametrize("name", BROKEN_QWEN)
@pytest.mark.parametrize("forms", [("qwen",), TAGGED, FORMS], ids=["qwen", "tagged", "all"])
def test_defect_28_a_broken_call_is_one_malformed_call(
    name: str, forms: tuple[CallForm, ...]
) -> None:
    text = BROKEN_QWEN[name]
    reply = read_reply(f"I look.\n{text}", tools=[SEARCH], forms=forms)
    (bad,) = reply.malformed
    assert (reply.calls, reply.text, bad.text) == ((), "I look.", text.strip())
    assert bad.name == ("" if "=search>" not in text else "search")
    good = read_reply(f"{text}\n{QWEN}", tools=[SEARCH], forms=forms)
    assert (len(good.malformed), len(good.calls), good.text) == (1, 1, "")


GLM = "<tool_call>search\n<arg_key>query</arg_key>\n"
HEADER = "<|channel|>commentary to=functions.search"
SECTION, SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
KIMI = "<|tool_call_begin|>functions.search:0"
INVOKE = '<minimax:tool_call>\n<invoke name="search">\n'


@pytest.mark.parametrize(
    ("form", "text", "name"),
    [
        ("glm", f"{GLM}<arg_value>a\n</tool_call>", "search"),
        ("glm", f"{GLM}</tool_call>", "search"),
        ("glm", f"{GLM}<arg_value>a", "search"),
        ("glm", "<tool_call>what is this?</tool_call>", ""),
        ("glm", '<tool_call>{"name": "search", "arguments": {}}</tool_call>', "search"),
        ("harmony", f"{HEADER}<|message|>{{'a': 1}}<|call|>", "search"),
        ("harmony", f"{HEADER}<|message|>{{", "search"),
        ("harmony", f'{HEADER} {{"a": 1}}<|call|>', "search"),
        ("harmony", f'{HEADER}<|message|>{{"a": 1}} and<|call|>', "search"),
        ("harmony", f"{HEADER}<|channel|>commentary<|message|>{{}}<|call|>", "search"),
        ("gemma", '<|tool_call>call:search{query:<|"|>a}<tool_call|>', "search"),
        ("gemma", "<|tool_call>call:search{query:moon}<tool_call|>", "search"),
        ("gemma", "<|tool_call>search(moon)<tool_call|>", ""),
        ("gemma", "<|tool_call>call:search{k:1", "search"),
        ("deepseek", f"{CALLS}{CALL}search{SEP}{{'a': 1}}{OVER}{DONE}", "search"),
        ("deepseek", f"{CALLS}{CALL}function{SEP}search\n```json\n{{}}\n{OVER}{DONE}", "search"),
        ("deepseek", f'{CALLS}{CALL}search{SEP}{{"a": ', "search"),
        ("deepseek", f"{CALLS}search{DONE}", ""),
        ("deepseek", CALLS, ""),
        ("kimi", f"{SECTION}{KIMI}<|tool_call_end|>{SECTION_END}", "search"),
        ("kimi", f"{SECTION}search{SECTION_END}", ""),
        ("lfm2", "<|tool_call_start|>[search('moon')]<|tool_call_end|>", "search"),
        ("lfm2", "<|tool_call_start|>[search(query='it's')]<|tool_call_end|>", "search"),
        ("lfm2", "<|tool_call_start|>[search(k=1, k=2)]<|tool_call_end|>", "search"),
        ("lfm2", "<|tool_call_start|>[search(k=1)", "search"),
        ("lfm2", "<|tool_call_start|>[search(k=len('a'))]<|tool_call_end|>", "search"),
        ("lfm2", "<|tool_call_start|>[]<|tool_call_end|>", ""),
        ("minimax", f'{INVOKE}<parameter name="k">1\n</invoke>\n</minimax:tool_call>', "search"),
        ("minimax", f"{INVOKE}</minimax:tool_call>", "search"),
        ("minimax", "<minimax:tool_call>\nsearch\n</minimax:tool_call>", ""),
        ("minimax", '<tool_calls>\n{"name": "search"}\n</tool_calls>', "search"),
        ("minimax", "<minimax:tool_call>", ""),
    ],
)  # fmt: skip
def test_a_broken_call_of_each_family_is_one_malformed_call(
    form: CallForm, text: str, name: str
) -> None:
    reply = read(f"I look.\n{text}", form)
    (bad,) = reply.malformed
    assert (reply.calls, reply.text, bad.name) == ((), "I look.", name)
    assert bad.text in text


@pytest.mark.parametrize("form", ["deepseek", "kimi", "minimax"])
def test_a_broken_call_of_a_block_does_not_lose_the_others(form: CallForm) -> None:
    one, two = (write_call(form, "search", {"query": query}) for query in ("a", "b"))
    if form == "minimax":
        opener, closer = "<minimax:tool_call>\n", "\n</minimax:tool_call>"
        broken = '<invoke name="search">\n<parameter name="query">a</invoke>'
    else:
        opener, closer = one[: one.index("search") - (10 if form == "kimi" else 0)], ""
        opener = opener.replace("<|tool_call_begin|>", "").replace(CALL, "")
        closer = "<|tool_calls_section_end|>" if form == "kimi" else DONE
        broken = one.removeprefix(opener).removesuffix(closer).replace("}", "")
    good = two.removeprefix(opener).removesuffix(closer)
    reply = read(f"{opener}{broken}{good}{closer}", form)
    assert made(reply) == [("search", {"query": "b"})]
    assert [(bad.id, bad.text) for bad in reply.malformed] == [("call-0-0", broken)]
    assert reply.text == ""


@pytest.mark.parametrize(
    ("text", "said", "calls", "broken"),
    [
        ("It is 4.</tool_call>", "It is 4.", 0, ["</tool_call>"]),
        ("</tool_call>", "", 0, ["</tool_call>"]),
        (
            '{"name": "search", "arguments": {"query": "x"}}\n</tool_call>',
            "",
            0,
            ['{"name": "search", "arguments": {"query": "x"}}\n</tool_call>'],
        ),
        (
            'I look.\n{"name": "search", "arguments": {}}\n</tool_call>\nThen',
            "I look.\n\nThen",
            0,
            ['{"name": "search", "arguments": {}}\n</tool_call>'],
        ),
        (
            "I look.\nsearch\n<arg_key>query</arg_key><arg_value>x</arg_value></tool_call>",
            "I look.\nsearch",
            0,
            ["<arg_key>query</arg_key><arg_value>x</arg_value></tool_call>"],
        ),
        (f"{QWEN}\n</tool_call>", "", 1, []),
        ("<function=search>\n</function>\n</tool_call>", "", 1, []),
        ("<tool_call>{</tool_call></tool_call>", "", 0, ["<tool_call>{</tool_call></tool_call>"]),
        ("So.<|tool_call_end|>", "So.", 0, ["<|tool_call_end|>"]),
    ],
)
def test_defect_28_a_closing_tag_that_closes_nothing_is_no_part_of_the_answer(
    text: str, said: str, calls: int, broken: list[str]
) -> None:
    """It is malformed with what it would close; right after a call it belongs to the call."""
    reply = read(text)
    assert (reply.text, len(reply.calls)) == (said, calls)
    assert [bad.text for bad in reply.malformed] == broken
    assert all(text[one.start : one.end].startswith(broken[0]) for one in reply.malformed)


# ---------------------------------------------------------------- any arguments

QUOTED = objects.map(lambda made: {f"k{n}": value for n, value in enumerate(made.values())})


@settings(max_examples=drawn(25), deadline=None)
@given(arguments=objects, form=st.sampled_from(["harmony", "deepseek", "kimi"]))
def test_any_arguments_survive_the_forms_that_hold_json(arguments: dict, form: CallForm) -> None:
    reply = read(f"Look: {write_call(form, 'search', arguments)}", form)
    assert (made(reply), reply.malformed) == ([("search", arguments)], ())


@settings(max_examples=drawn(25), deadline=None)
@given(arguments=QUOTED)
def test_any_values_survive_the_form_of_python(arguments: dict) -> None:
    reply = read(write_call("lfm2", "search", arguments), "lfm2")
    assert (made(reply), reply.malformed) == ([("search", arguments)], ())


@settings(max_examples=drawn(25), deadline=None)
@given(arguments=QUOTED, form=st.sampled_from(["gemma", "glm", "minimax"]))
def test_values_survive_the_forms_without_escapes_or_are_refused(
    arguments: dict, form: CallForm
) -> None:
    if form != "gemma":
        arguments = {key: value for key, value in arguments.items() if isinstance(value, str)}
    try:
        text = write_call(form, "search", arguments)
    except UsageError as error:
        assert "it holds a tag of calls" in str(error)
        return
    assert (made(read(text, form)), read(text, form).malformed) == ([("search", arguments)], ())


FRAGMENTS = [
    *("<|channel|>", "<|start|>assistant", "<|message|>", "<|call|>", "<|end|>"),
    *(" to=functions.search", "commentary", "analysis", "final", "<|constrain|>json"),
    *("<|channel>", "<channel|>", "thought\n", "<|tool_call>", "<tool_call|>", "call:search{"),
    *('<|"|>', "query:", "}", "{", ",", "[", "]", '{"query": "x"}', "search", "function"),
    *(CALLS, CALL, SEP, OVER, DONE, "\n```json\n", "```", "functions.search:0", "\n"),
    *(SECTION, SECTION_END, "<|tool_call_begin|>", "<|tool_call_argument_begin|>"),
    *("<|tool_call_end|>", "<|tool_call_start|>", "[search(", "query=", "'x'", '"', "'", ")"),
    *("\\", "1", "True", "1e999", "<minimax:tool_call>", '<invoke name="search">', "</invoke>"),
    *('<parameter name="query">', "</parameter>", "</minimax:tool_call>", "<tool_calls>"),
    *("</tool_calls>", "<tool_call>search\n", "<arg_key>", "query", "</arg_key>"),
    *("<arg_value>", "</arg_value>", "</tool_call>", "\ud800", "灯"),
]
hostile = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=30).map("".join)


@settings(max_examples=drawn(150), deadline=None)
@given(text=hostile, form=st.sampled_from([*FORMS, None]))
def test_no_text_of_any_family_makes_it_raise(text: str, form: CallForm | None) -> None:
    reply = read(text, *([form] if form else ()))
    assert [one.id for one in reply.attempts] == [f"call-0-{n}" for n in range(len(reply.attempts))]
    for one in reply.attempts:
        assert 0 <= one.start < one.end <= len(text)
    for call in reply.calls:
        assert isinstance(msgspec.json.decode(call.arguments), dict)
    msgspec.json.encode(reply)


def test_numbers_beyond_json_are_malformed() -> None:
    huge = "9" * 50
    for text in (
        f"<|tool_call_start|>[search(k={huge})]<|tool_call_end|>",
        f"<|tool_call>call:search{{k:{huge}}}<tool_call|>",
        f"<function=search><parameter=k>{huge}</parameter></function>",
    ):
        assert made(read(text)) == [("search", {"k": int(huge)})]
    for text in (
        "<|tool_call_start|>[search(share=1e999)]<|tool_call_end|>",
        f"<|tool_call_start|>[search(k={huge * 9})]<|tool_call_end|>",
    ):
        assert len(read(text).malformed) == 1


PIECES = [
    *("<tool_call>search\n<arg_key>a</arg_key><arg_value>", "<tool_call>a<arg_key>"),
    *("</tool_call>", "<|channel|>", "<|start|>", "<|channel|>analysis<|message|>"),
    *("<|channel|>x to=functions.a ", "<|channel|>x to=functions.a<|message|>{", "<|end|>"),
    *("<|channel|>a to=b<|message|>", '<|tool_call>call:a{b:<|"|>', "<|tool_call>call:a{b:{"),
    *("<|tool_call>call:a{b:[", "<|channel>", f"{CALLS}{CALL}", f'{CALL}a{SEP}{{"', CALLS, OVER),
    *(f"{CALL}a{SEP}{{}}", "<|tool_call_begin|>a<|tool_call_argument_begin|>{", SECTION),
    *("<|tool_call_start|>[a(b='", "<|tool_call_start|>[a(b=\\'", "<|tool_call_start|>[a(b=["),
    *("a(b=1),", '<minimax:tool_call><invoke name="a"><parameter name="b">', "<tool_calls>{"),
    *("<minimax:tool_call>", '<invoke name="a"><parameter name="b">'),
]


@pytest.mark.parametrize("piece", PIECES)
def test_hostile_text_is_read_in_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    for opener in ("", "<minimax:tool_call>", "<|tool_call_start|>[", "<tool_call>"):
        reply = read(opener + text)  # A quadratic reader takes minutes.
        assert len(reply.attempts) <= MOST_CALLS + 1
