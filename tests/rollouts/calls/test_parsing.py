import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.engines.base import ToolSpec
from plaudit.rollouts.calls.forms import FORMS, CallForm, write_call
from plaudit.rollouts.calls.parsing import MOST_CALLS, read_reply
from plaudit.rollouts.calls.reply import MalformedCall, ParsedReply
from tests.support.examples import drawn

SCHEMA = (
    b'{"type": "object", "properties": {"query": {"type": "string"}, "k": {"type": "integer"}}}'
)
SEARCH = ToolSpec("search", "Search.", msgspec.Raw(SCHEMA))
QUOTING: list[CallForm] = ["json", "hermes", "llama", "mistral"]


def call(query: str = "moon", name: str = "search") -> str:
    return msgspec.json.encode({"name": name, "arguments": {"query": query}}).decode()


def tagged(body: str) -> str:
    return f"<tool_call>\n{body}\n</tool_call>"


def queries(reply: ParsedReply) -> list[str]:
    return [msgspec.json.decode(made.arguments)["query"] for made in reply.calls]


# ---------------------------------------------------------------- the forms, as models write them


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "search", "arguments": {"query": "moon"}}', ["moon"]),
        ('{"name": "search", "parameters": {"query": "moon"}}', ["moon"]),
        ('{"type": "function", "name": "search", "parameters": {"query": "moon"}}', ["moon"]),
        ('{"type": "function", "function": ' + call() + "}", ["moon"]),
        ('{"name": "search", "arguments": "{\\"query\\": \\"moon\\"}"}', ["moon"]),
        ("```json\n" + call() + "\n```", ["moon"]),
        ("```\n" + call("a") + "\n" + call("b") + "\n```", ["a", "b"]),
        ("```json\n" + call("a") + "\n```\n```json\n" + call("b") + "\n```", ["a", "b"]),
        ("[" + call("a") + ", " + call("b") + "]", ["a", "b"]),
        (call("a") + "\n" + call("b"), ["a", "b"]),
        (call("a") + "; " + call("b"), ["a", "b"]),
        ("<|python_tag|>" + call("a") + "; " + call("b"), ["a", "b"]),
        ('<function=search>{"query": "moon"}</function>', ["moon"]),
        ('<tool_call>{"name": "search", "arguments": {"query": "moon"}}</tool_call>', ["moon"]),
        (tagged(call("a")) + "\n" + tagged(call("b")), ["a", "b"]),
        ("<tool_call>[\n" + call("a") + ",\n" + call("b") + "\n]</tool_call>", ["a", "b"]),
        ("<tool_call>[]</tool_call>", []),
        (
            "<tool_call>\n<function=search>\n<parameter=query>\nmoon\n</parameter>\n</function>\n"
            "</tool_call>",
            ["moon"],
        ),
        ("<function=search><parameter=query>moon</parameter></function>", ["moon"]),
        ('[TOOL_CALLS] [{"name": "search", "arguments": {"query": "moon"}, "id": "a1"}]', ["moon"]),
        (
            '[TOOL_CALLS]search[ARGS]{"query": "a"}[TOOL_CALLS]search[ARGS]{"query": "b"}',
            ["a", "b"],
        ),
        ('[TOOL_CALLS]search[CALL_ID]Xy3[ARGS]{"query": "moon"}', ["moon"]),
        ('[TOOL_CALLS]search{"query": "moon"}', ["moon"]),
        ('search{"query": "a"}search{"query": "b"}', ["a", "b"]),
    ],
)
def test_each_form_is_read_as_models_write_it(text: str, expected: list[str]) -> None:
    reply = read_reply(text, tools=[SEARCH])
    assert queries(reply) == expected
    assert {made.name for made in reply.calls} <= {"search"}
    assert (reply.text, reply.malformed) == ("", ())


def test_calls_stand_among_prose_and_keep_it() -> None:
    text = f"First this.\n{tagged(call('a'))}\nThen that.\n{tagged(call('b'))} Done."
    reply = read_reply(text, turn=3)
    assert queries(reply) == ["a", "b"]
    assert reply.text == "First this.\n\nThen that.\n Done."
    assert [made.id for made in reply.calls] == ["call-3-0", "call-3-1"]
    assert [text[made.start : made.end] for made in reply.calls] == [
        tagged(call("a")),
        tagged(call("b")),
    ]


def test_only_the_forms_that_were_asked_for_are_read() -> None:
    text = tagged(call())
    assert read_reply(text, forms=["mistral", "json"]).text == text
    assert read_reply(call(), forms=["hermes"]).text == call()
    assert len(read_reply(text, forms=["hermes"]).calls) == 1


def test_qwen_arguments_have_the_types_of_the_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "share": {"type": "number"},
            "deep": {"type": "boolean"},
            "tags": {"type": "array"},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "level": {"$ref": "#/$defs/Level"},
            "wrong": {"type": "integer"},
        },
        "$defs": {"Level": {"enum": [1, 2, 3]}},
    }
    written = {
        "text": "42",
        "count": "42",
        "share": "0.5",
        "deep": "True",
        "tags": '["a", 1]',
        "maybe": "None",
        "level": "2",
        "wrong": "many",
        "unknown": "7",
    }
    spec = ToolSpec("make", "", msgspec.Raw(msgspec.json.encode(schema)))
    (made,) = read_reply(write_call("qwen", "make", written), tools=[spec]).calls
    assert msgspec.json.decode(made.arguments) == {
        "text": "42",
        "count": 42,
        "share": 0.5,
        "deep": True,
        "tags": ["a", 1],
        "maybe": None,
        "level": 2,
        "wrong": "many",
        "unknown": "7",
    }


# ---------------------------------------------------------------- the defects of parity row R2


def test_R2_a_brace_inside_a_string_does_not_lose_the_call() -> None:
    for query in ("a } b", "a { b", '"}', "{{{", "]", "\\", '\\"}'):
        assert queries(read_reply(call(query), tools=[SEARCH])) == [query]
        assert queries(read_reply(tagged(call(query)), tools=[SEARCH])) == [query]


def test_R2_one_unmatched_brace_does_not_swallow_the_rest() -> None:
    broken = '{"name": "search", "arguments": {"query": "a"}'
    reply = read_reply(f"{tagged(broken)} and {tagged(call('b'))} so it is.")
    assert queries(reply) == ["b"]
    assert [bad.text for bad in reply.malformed] == [tagged(broken)]
    assert reply.text == "and  so it is."

    reply = read_reply(f"{broken}\n{call('b')}", tools=[SEARCH])
    assert queries(reply) == ["b"]
    assert [bad.name for bad in reply.malformed] == ["search"]

    reply = read_reply("It costs { 4.\n" + tagged(call("b")))
    assert queries(reply) == ["b"]
    assert reply.text == "It costs { 4."


def test_R2_json_inside_a_thought_is_no_call() -> None:
    for thought in (
        f"<think>{call()}</think>",
        f"<think>{tagged(call())}</think>",
        f"[THINK]{tagged(call())}[/THINK]",
        f"maybe {tagged(call())} or not</think>",
    ):
        reply = read_reply(f"{thought}\nIt is 4.", tools=[SEARCH])
        assert (reply.calls, reply.malformed, reply.text) == ((), (), "It is 4.")
        assert "search" in reply.reasoning
        assert queries(read_reply(thought + tagged(call("b")))) == ["b"]
        assert queries(read_reply(thought + call("b"))) == ["b"]


def test_R2_json_in_a_final_answer_is_no_call() -> None:
    for answer in (
        '{"answer": 4}',
        '{"name": "Ada", "arguments": {"query": "x"}}',
        f"You could call {call()} for that.",
        f"The format is:\n```json\n{call()}\n```",
        '[{"name": "Ada"}, {"name": "Bo"}]',
        "{",
        "```json\n{}\n```",
    ):
        reply = read_reply(answer, tools=[SEARCH])
        assert (reply.calls, reply.malformed, reply.text) == ((), (), answer)


@pytest.mark.parametrize("form", FORMS)
def test_R2_two_calls_in_a_turn_both_count(form: CallForm) -> None:
    first, second = (write_call(form, "search", {"query": q}) for q in ("a", "b"))
    reply = read_reply(f"{first}\n{second}", tools=[SEARCH], turn=1)
    assert queries(reply) == ["a", "b"]
    assert [made.id for made in reply.calls] == ["call-1-0", "call-1-1"]


# ---------------------------------------------------------------- thoughts


def test_a_thought_that_is_not_closed_reaches_to_the_end() -> None:
    reply = read_reply(f"Yes. <think>or {tagged(call())}")
    assert (reply.text, reply.calls, reply.thought_open) == ("Yes.", (), True)
    assert reply.reasoning == f"or {tagged(call())}"


def test_a_prompt_can_end_within_a_thought() -> None:
    reply = read_reply(f"so {tagged(call())}", in_thought=True)
    assert (reply.text, reply.calls, reply.thought_open) == ("", (), True)
    reply = read_reply(f"so</think>{tagged(call())}", in_thought=True)
    assert (reply.reasoning, len(reply.calls), reply.thought_open) == ("so", 1, False)


def test_thoughts_between_calls_are_gathered() -> None:
    reply = read_reply(f"<think>a</think>{tagged(call())}<think> b </think>end")
    assert (reply.reasoning, reply.text, len(reply.calls)) == ("a\nb", "end", 1)


# ---------------------------------------------------------------- what is broken


@pytest.mark.parametrize(
    ("text", "why", "kept"),
    [
        ("Now <tool_call>" + call()[:-4], "breaks off", "Now"),
        ("<tool_call>" + call(), "not closed", ""),
        ("<tool_call>" + call() + "\nSo it is.", "not closed", "So it is."),
        (
            '<tool_call>{"name": "search", "arguments": {"query": "x"}\n\nIt is 4.',
            "broken",
            "It is 4.",
        ),
        (tagged("search('moon')"), "no JSON object", ""),
        (tagged("{'name': 'search', 'arguments': {}}"), "broken", ""),
        (tagged('{"name": "search"}'), "arguments", ""),
        (tagged('{"name": "search", "arguments": [1]}'), "arguments", ""),
        (tagged('{"name": "search", "arguments": "moon"}'), "arguments", ""),
        (tagged('{"arguments": {}}'), "name", ""),
        (tagged('{"name": 3, "arguments": {}}'), "name", ""),
        (tagged(call() + " and more"), "not closed", ""),
        (tagged('{"name": "search", "arguments": {"query": "a\nb"}}'), "arguments|broken|JSON", ""),
        ('<|python_tag|>search.call(query="moon")', "no JSON object", ""),
        ("[TOOL_CALLS]search", "no JSON object", ""),
        ('[TOOL_CALLS]search[ARGS]{"query": ', "breaks off", ""),
        ("<function=search><parameter=query>moon</function>", "not closed", ""),
        ("<function=search><parameter=query>moon", "not closed", ""),
        ("<function=search>what", "not closed", ""),
        ("<function=>{}</function>", "no name", ""),
        (
            "<function=search><parameter=query>a</parameter><parameter=query>b</parameter></function>",
            "twice",
            "",
        ),
        (call()[:-3], "breaks off", ""),
        ('{"name": "search"', "breaks off", ""),
        (call() + "\nThis finds it.", "stand alone", "This finds it."),
        ("```json\n" + call()[:-2], "breaks off", ""),
    ],
)
def test_a_broken_call_is_reported_and_the_rest_is_kept(text: str, why: str, kept: str) -> None:
    reply = read_reply(text, tools=[SEARCH])
    assert reply.calls == ()
    (bad,) = reply.malformed
    assert any(part in bad.why for part in why.split("|")), bad.why
    assert reply.text == kept
    assert bad.text == text[bad.start : bad.end]


def test_a_broken_call_tells_its_name_where_it_has_one() -> None:
    (bad,) = read_reply("<tool_call>" + call()[:-4]).malformed
    assert bad.name == "search"
    (bad,) = read_reply("<function=search><parameter=query>moon").malformed
    assert bad.name == "search"
    (bad,) = read_reply("<tool_call>what").malformed
    assert bad.name == ""


def test_attempts_are_in_the_order_of_the_text() -> None:
    text = tagged("oh") + tagged(call("b")) + tagged("[]}") + tagged(call("d"))
    reply = read_reply(text)
    assert [attempt.id for attempt in reply.attempts] == [f"call-0-{n}" for n in range(4)]
    assert [isinstance(a, MalformedCall) for a in reply.attempts] == [True, False, True, False]


def test_a_call_to_an_unknown_tool_is_a_call_where_it_is_marked_as_one() -> None:
    (made,) = read_reply(tagged(call(name="fetch")), tools=[SEARCH]).calls
    assert made.name == "fetch"
    reply = read_reply(f"{call()}\n{call(name='fetch')}\n{{}}", tools=[SEARCH])
    assert [made.name for made in reply.calls] == ["search", "fetch"]
    assert [bad.text for bad in reply.malformed] == ["{}"]


def test_calls_beyond_the_limit_are_one_malformed_call() -> None:
    for text in ((tagged(call()) + "\n") * (MOST_CALLS + 5), (call() + "\n") * (MOST_CALLS + 5)):
        reply = read_reply(text)
        assert len(reply.calls) == MOST_CALLS
        (bad,) = reply.malformed
        assert str(MOST_CALLS) in bad.why
        assert reply.text == ""


# ---------------------------------------------------------------- any arguments, any text

FRAGMENTS = [
    *(
        "{",
        "}",
        "[",
        "]",
        '"',
        "\\",
        '\\"',
        "\n",
        "\n\n",
        " ",
        "'",
        ":",
        ",",
        ";",
        "```",
        "```json\n",
    ),
    *(
        "<think>",
        "</think>",
        "[THINK]",
        "[/THINK]",
        "<tool_call>",
        "</tool_call>",
        "<|python_tag|>",
    ),
    *("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<function=", "</function>", "<function=search>"),
    *("<parameter=", "<parameter=query>", "</parameter>", '{"name": "search"', '"arguments": {'),
    *(call(), call()[:-1], tagged(call()), "search", "x", "\ud800", "\u2028", "🙂"),
]
hostile = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=30).map("".join)
texts = st.lists(
    st.sampled_from([f for f in FRAGMENTS if f != "\ud800"]) | st.text(max_size=5)
).map("".join)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=4)


@settings(max_examples=drawn(60), deadline=None)
@given(arguments=st.lists(objects, min_size=1, max_size=3), form=st.sampled_from(QUOTING))
def test_any_arguments_survive_every_form_that_quotes(
    arguments: list[dict], form: CallForm
) -> None:
    text = "\n".join(write_call(form, "search", given_) for given_ in arguments)
    reply = read_reply(f"<think>hm {call()}</think>\n{text}", tools=[SEARCH])
    assert [msgspec.json.decode(made.arguments) for made in reply.calls] == arguments
    assert (reply.malformed, reply.text) == ((), "")


QWEN_TAGS = ("<parameter=", "</parameter>", "<function=", "</function>")
plain = texts.filter(lambda text: not any(tag in text for tag in QWEN_TAGS))


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), plain, max_size=4))
def test_any_text_survives_the_qwen_form(arguments: dict[str, str]) -> None:
    (made,) = read_reply(f"Look: {write_call('qwen', 'make', arguments)} there").calls
    assert msgspec.json.decode(made.arguments) == arguments


@settings(deadline=None)
@given(text=hostile, known=st.booleans(), in_thought=st.booleans())
def test_no_text_makes_it_raise(text: str, known: bool, in_thought: bool) -> None:
    reply = read_reply(text, tools=[SEARCH] if known else None, in_thought=in_thought)
    assert [attempt.id for attempt in reply.attempts] == [
        f"call-0-{number}" for number in range(len(reply.attempts))
    ]
    for attempt in reply.attempts:
        assert 0 <= attempt.start < attempt.end <= len(text)
    for made in reply.calls:
        assert isinstance(msgspec.json.decode(made.arguments), dict)
    msgspec.json.encode(reply)
    if (
        not reply.reasoning
        and not reply.attempts
        and "\ud800" not in text
        and "think" not in text.lower()
    ):
        assert reply.text == text.strip()


@pytest.mark.parametrize(
    "piece",
    [
        *("{", "[", "{}", "[[],", '"', "\\", "<tool_call>", '<tool_call>{"', '<tool_call>{"a":"'),
        *(
            '<tool_call>{"\\',
            "[TOOL_CALLS][{",
            "<|python_tag|>",
            "<think>",
            "</think>",
            "</think>{",
        ),
        *("<think></think>", "<think></think> ", "<function=a><parameter=b>", "```\n", "```\n\n"),
        *(
            '{"name":"a","arguments":',
            '{"name":"a","arguments":{}\n',
            call() + "\n",
            tagged(call()),
        ),
        *("\n", "x\n[\n", "x\n{\n\n", '{"a":"<tool_call>{","a":"', '<tool_call>{"a":"\\"'),
    ],
)
def test_a_megabyte_of_hostile_text_is_read_in_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    for whole in (text, "x" + text, "<think></think>" + text, text + "</think>{" + text[:100_000]):
        read_reply(whole, tools=[SEARCH])  # A quadratic reader outlasts the test's time-out.
