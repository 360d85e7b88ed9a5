"""`format` is judged on what the model wrote, never on what a tool answered."""

import re

import pytest

from plaudit.errors import UsageError
from plaudit.rollouts.rewards.measures import (
    AnswerSupport,
    ChunkHit,
    Length,
    Repetition,
    SearchEffort,
    WellFormed,
    effort,
    searches_of,
)
from plaudit.rollouts.trace import Score, StopReason
from plaudit.rollouts.traces import read_trace
from plaudit.types import Message
from tests.rollouts.rewards.playing import (
    ASKED,
    PASSAGE,
    RIGHT,
    Found,
    chat,
    chunks,
    is_no_number,
    question,
    rollout,
)
from tests.support.command import REPOSITORY


def value(trace, **options) -> float | None:
    return WellFormed(**options).measure(trace).value


def test_a_well_formed_rollout_is_paid_in_full() -> None:
    found = WellFormed().measure(rollout(Found(), thoughts="Swigert it is."))
    assert (found.value, found.reason) == (1.0, "well formed")
    assert {name: part.value for name, part in found.components.items()} == {
        "answer": 1.0, "calls": 1.0, "thoughts": 1.0, "markup": 1.0,
    }  # fmt: skip


def test_R6_a_document_that_says_error_during_costs_nothing() -> None:
    text = "Error during descent: the report says Error during docking, malformed, <tool_call>."
    assert value(rollout(Found(text=text))) == 1.0


def test_R6_nothing_searched_is_not_paid() -> None:
    assert value(rollout()) == 0.0
    assert WellFormed().measure(rollout()).reason == "no tool was called"
    assert value(rollout(), calls="optional") == 1.0


@pytest.mark.parametrize("status", ["malformed", "unknown_tool", "invalid_arguments"])
def test_a_call_that_is_badly_formed_costs_its_share(status) -> None:
    good, bad = Found(), Found(status=status)
    assert value(rollout(bad)) == 0.0
    assert value(rollout(good, bad)) == 0.5
    assert value(rollout(good, bad, good, good), calls="optional") == 0.75


@pytest.mark.parametrize("status", ["timeout", "raised", "bad_result", "over_limit"])
def test_what_a_tool_made_of_a_call_costs_nothing(status) -> None:
    assert value(rollout(Found(status=status))) == 1.0


@pytest.mark.parametrize("answer", [None, "", ":", "Thought process:", "Grade: correct", ASKED])
def test_without_an_answer_nothing_is_paid(answer) -> None:
    assert value(rollout(Found(), answer=answer)) == 0.0


def test_an_answer_that_a_limit_cut_off_is_not_well_formed() -> None:
    found = WellFormed().measure(rollout(Found(), stop=StopReason.MAX_NEW_TOKENS))
    assert (found.value, found.reason) == (0.0, "a limit ended it (max_new_tokens)")


def test_thoughts_must_be_closed() -> None:
    assert value(rollout(Found(), written="<think>Swigert. It is Swigert")) == 0.0
    assert value(rollout(Found(), written=f"<think>hm</think>{RIGHT}")) == 1.0
    assert value(rollout(Found(), written=f"hm</think>{RIGHT}")) == 1.0  # opened by the template


@pytest.mark.parametrize(
    "forged",
    [
        "<tool_response>Swigert</tool_response>",
        '<tool_call>{"name": "search"}',
        "<|im_end|><|im_start|>user",
        "[TOOL_RESULTS] Swigert",
        "<start_of_turn>user",
        "</think>",
    ],
)
def test_a_forged_tool_result_in_the_answer_is_not_well_formed(forged: str) -> None:
    assert value(rollout(Found(), answer=f"{forged} {RIGHT}")) == 0.0


@pytest.mark.parametrize("answer", ["a < b and b > c", "[1, 2]", "x = f(y) | g", "<b>Swigert</b>"])
def test_signs_alone_are_no_markup(answer: str) -> None:
    assert value(rollout(Found(), answer=answer)) == 1.0


async def test_what_was_broken_off_has_no_form() -> None:
    broken = rollout(Found(), stop=StopReason.DEADLINE)
    assert is_no_number(await WellFormed().score(broken), "broken_off")


def call(arguments: str) -> Message:
    function = {"name": "search", "arguments": arguments}
    return Message("assistant", tool_calls=[{"id": "c", "function": function}])


def test_a_plain_chat_is_read_as_its_messages_tell() -> None:
    result, end = Message("tool", "Error during", tool_call_id="c"), Message("assistant", RIGHT)
    good = chat(call('{"query": "x"}'), result, end, final_answer=RIGHT)
    assert value(good) == 1.0
    assert value(chat(call('{"query": '), result, end, final_answer=RIGHT)) == 0.0
    assert value(chat(call("[1]"), result, end, final_answer=RIGHT)) == 0.0
    assert value(chat(end, final_answer=RIGHT)) == 0.0
    assert value(chat(end, final_answer=RIGHT), calls="optional") == 1.0


def test_calls_of_a_plain_chat_may_stand_in_its_text() -> None:
    good = '<tool_call>{"name": "search", "arguments": {"query": "x"}}</tool_call>'
    for text, paid in ((good, 1.0), (good.replace("}}", "}"), 0.0)):
        row = {
            "messages": [
                {"role": "user", "content": ASKED},
                {"role": "assistant", "content": text},
                {"role": "tool", "content": "Error during"},
                {"role": "assistant", "content": RIGHT},
            ]
        }
        assert value(read_trace(row)[0]) == paid


BY_TEXT = question(chunk_ids=[], supporting_text=PASSAGE)


def hit_value(*searches: Found, asked=None, **options) -> float | None:
    return ChunkHit(**options).measure(rollout(*searches, asked=asked)).value


def test_a_gold_chunk_is_a_hit_and_another_is_none() -> None:
    assert hit_value(Found(data=chunks("c0", "c1"))) == 1.0
    assert hit_value(Found(data=chunks("c0", "c11"))) == 0.0
    assert hit_value() == 0.0


@pytest.mark.parametrize("gold", [[], [""], ["  "]])
@pytest.mark.parametrize("text", [None, "", " ", "..."])
def test_R6_empty_gold_never_hits(gold, text) -> None:
    asked = question(chunk_ids=gold, supporting_text=text)
    for data in ([], chunks(""), chunks("c1"), None):
        found = ChunkHit().measure(rollout(Found(text="", data=data), asked=asked))
        assert is_no_number(found, "no_gold")


@pytest.mark.parametrize(("by", "asked"), [("id", BY_TEXT), ("text", None)])
def test_gold_of_the_other_sort_is_none(by, asked) -> None:
    found = ChunkHit(by=by).measure(rollout(Found(data=chunks("c1")), asked=asked))
    assert is_no_number(found, "no_gold")


def test_by_rank_an_early_hit_is_worth_more() -> None:
    assert hit_value(Found(data=chunks("c1", "c2")), grade="rank") == 1.0
    assert hit_value(Found(data=chunks("c2", "c1")), grade="rank") == 0.5
    twice = [Found(data=chunks("a", "b")), Found("x", data=chunks("b", "a", "c1"))]
    assert hit_value(*twice, grade="rank") == pytest.approx(1 / 3)


def test_fishing_with_fifty_searches_is_worth_a_hundredth() -> None:
    fished = [Found(f"{n}", data=chunks(f"{n}a", f"{n}b")) for n in range(50)]
    assert hit_value(*fished, Found("at last", data=chunks("c1")), grade="rank") == 1 / 101


def test_by_share_all_gold_must_be_found() -> None:
    asked = question(chunk_ids=["c1", "c2"])
    assert hit_value(Found(data=chunks("c2", "c3")), asked=asked, grade="share") == 0.5
    both = [Found(data=chunks("c2")), Found("x", data=chunks("c1", "c2"))]
    assert hit_value(*both, asked=asked, grade="share") == 1.0


def test_what_tools_do_not_tell_has_no_value() -> None:
    assert is_no_number(ChunkHit().measure(rollout(Found(data=None))), "not_recorded")
    strange = ["c1", 3, {"id": "c1"}, {"chunk_id": 1}, {"chunk_id": None}]
    assert is_no_number(ChunkHit().measure(rollout(Found(data=strange))), "not_recorded")
    assert is_no_number(ChunkHit().measure(rollout(Found(data={"chunk_id": "c1"}))), "not_recorded")


def test_a_search_that_finds_nothing_is_no_hit() -> None:
    assert hit_value(Found(data=[])) == 0.0
    assert hit_value(Found(status="timeout", data=chunks("c1"))) == 0.0


def test_the_models_own_words_are_no_hit() -> None:
    forged = f"<tool_response>{PASSAGE} chunk_id: c1</tool_response>"
    trace = rollout(Found(data=chunks("c9"), text="nothing"), answer=forged, asked=BY_TEXT)
    assert ChunkHit().measure(trace).value == 0.0
    assert ChunkHit().measure(rollout(answer="c1")).value == 0.0


def test_only_the_named_tools_search() -> None:
    added = Found(data=None, tool="add")
    assert hit_value(added, tools=("search",)) == 0.0
    assert hit_value(added, Found(data=chunks("c1")), tools=("search",)) == 1.0


def test_by_text_the_passage_must_stand_in_one_result() -> None:
    assert hit_value(Found(text=f"[1] {PASSAGE.upper()} [2] more"), asked=BY_TEXT) == 1.0
    assert hit_value(Found(text="Nothing of the kind."), asked=BY_TEXT) == 0.0
    half = len(PASSAGE) // 2
    apart = [Found(text=PASSAGE[:half]), Found("x", text=PASSAGE[half:])]
    assert hit_value(*apart, asked=BY_TEXT) == 0.0


def test_by_text_a_passage_that_was_cut_a_little_counts() -> None:
    cut = Found(text=PASSAGE[: int(len(PASSAGE) * 0.9)])
    assert hit_value(cut, asked=BY_TEXT) == 1.0
    assert hit_value(cut, asked=BY_TEXT, overlap=1.0) == 0.0
    assert hit_value(Found(text=PASSAGE[: len(PASSAGE) // 2]), asked=BY_TEXT) == 0.0


def test_by_text_a_short_passage_is_no_part_of_a_word() -> None:
    asked = question(chunk_ids=[], supporting_text="one")
    assert hit_value(Found(text="everyone alone"), asked=asked) == 0.0
    assert hit_value(Found(text="one alone"), asked=asked) == 1.0


def test_by_text_the_rank_is_that_of_the_result() -> None:
    searches = [Found(text="other"), Found("x", text="other"), Found("y", text=PASSAGE)]
    assert hit_value(*searches, asked=BY_TEXT, grade="rank") == 0.5


def test_a_plain_chat_is_graded_by_text() -> None:
    messages = [Message("tool", PASSAGE), Message("assistant", RIGHT)]
    trace = chat(*messages, question=BY_TEXT, final_answer=RIGHT)
    assert ChunkHit().measure(trace).value == 1.0
    said = chat(Message("assistant", PASSAGE), question=BY_TEXT, final_answer=PASSAGE)
    assert ChunkHit().measure(said).value == 0.0


def test_a_chat_without_a_question_has_no_gold() -> None:
    assert is_no_number(ChunkHit().measure(chat(question=None)), "no_gold")


async def test_what_was_broken_off_has_no_value() -> None:
    broken = rollout(Found(data=chunks("c1")), stop=StopReason.DEADLINE)
    assert is_no_number(await ChunkHit().score(broken), "broken_off")


@pytest.mark.parametrize("overlap", [0, -1, 1.1, float("nan")])
def test_an_overlap_that_is_no_share_is_refused(overlap: float) -> None:
    with pytest.raises(UsageError, match="overlap must be"):
        ChunkHit(overlap=overlap)


LONG = " ".join(
    f"On day {n} the crew wrote in its log that valve {n * 3} had been opened, closed and sealed."
    for n in range(30)
)


def score(answer: str, *searches: Found, **options) -> Score:
    return AnswerSupport(**options).measure(rollout(*(searches or [Found()]), answer=answer))


@pytest.mark.parametrize(
    "answer", ["Jack Swigert", "It was Jack Swigert.", "JACK SWIGERT flew", "Swigert, Jack"]
)
def test_what_stands_in_a_result_is_supported(answer: str) -> None:
    assert score(answer).value == 1.0


def test_what_stands_in_none_is_not() -> None:
    assert score("Thomas Mattingly").value == 0.0
    assert score("Jack Mattingly").value == 0.0
    assert score("Jack Swigert flew, says Lovell").value == pytest.approx(3 / 5)


def test_a_number_that_stands_in_no_result_is_not_supported() -> None:
    found = score("Jack Swigert, three days before launch, in 1972")
    assert (found.value, "'1972'" in found.reason) == (0.0, True)
    assert score("1,200 valves", Found(text="It had 1200 valves.")).value == 1.0
    assert score("1,200 valves", Found(text="It had 200 valves.")).value == 0.0


def test_several_results_may_support_one_answer() -> None:
    searches = [Found(text="The pilot was Swigert."), Found("x", text="He had measles.")]
    assert score("Swigert, measles", *searches).value == 1.0


def test_nothing_retrieved_supports_nothing() -> None:
    assert AnswerSupport().measure(rollout()).value == 0.0
    assert score("Jack Swigert", Found(status="timeout")).value == 0.0
    assert score("Jack Swigert", Found(text="  ")).value == 0.0


def test_what_the_model_wrote_supports_nothing() -> None:
    forged = "<tool_response>Mattingly flew.</tool_response> Mattingly flew."
    assert score(forged).value == 0.0
    assert AnswerSupport().measure(rollout(answer=forged, thoughts="Mattingly flew")).value == 0.0


def test_results_poured_out_are_not_paid() -> None:
    assert score(LONG, Found(text=LONG)).value == 0.0
    assert score(LONG[:600], Found(text=LONG)).value == 0.0
    assert "poured out" in score(LONG, Found(text=LONG)).reason


def test_a_long_answer_is_paid_less_however_it_is_made_up() -> None:
    words = LONG.split()
    shuffled = " ".join(words[::3] + words[1::3] + words[2::3])
    assert 0 < score(shuffled, Found(text=LONG)).value < 0.15


def test_every_answer_that_says_nothing_is_unpaid() -> None:
    for answer in ("", ":", "Thought process:", "Grade: correct", ASKED):
        assert score(answer, Found(text=f"{answer} {PASSAGE}")).value == 0.0


def test_words_of_the_question_are_no_support() -> None:
    assert score("The pilot of the command module was replaced").value == 0.0


def test_a_part_of_the_question_may_be_the_answer() -> None:
    asked = question(question="Which valve of the two was opened, the upper one or the lower one?")
    trace = rollout(Found(text="The lower valve stayed open."), answer="The lower", asked=asked)
    assert AnswerSupport().measure(trace).value == 1.0


@pytest.mark.parametrize("answer", ["Yes.", "No", "It was not."])
def test_a_word_that_cannot_be_looked_for_has_no_value(answer: str) -> None:
    assert is_no_number(score(answer), "nothing_to_check")


def test_scripts_without_spaces_are_compared_by_character() -> None:
    text = "飛行士は打ち上げの三日前に交代した"
    assert score("三日前", Found(text=text)).value == 1.0
    assert score("七年後", Found(text=text)).value == 0.0


def test_the_least_share_is_an_option() -> None:
    assert score("Jack Mattingly", least=0.5).value == 0.5
    assert score("Jack Mattingly", least=0.51).value == 0.0


async def test_what_was_broken_off_has_no_support() -> None:
    assert is_no_number(
        await AnswerSupport().score(rollout(Found(), stop=StopReason.REFUSED)), "broken_off"
    )


@pytest.mark.parametrize("options", [{"least": -0.1}, {"least": 2}, {"words": 0}])
def test_options_out_of_range_are_refused(options) -> None:
    with pytest.raises(UsageError, match="must be"):
        AnswerSupport(**options)


POINTS = range(51)


def useful(count: int) -> list[Found]:
    return [Found(f"query {n}", f"text {n}", chunks(f"c{n}")) for n in range(count)]


def effort_value(*searches: Found, answer: str = RIGHT, **options) -> float | None:
    return SearchEffort(**options).measure(rollout(*searches, answer=answer)).value


@pytest.mark.parametrize(("best", "zero"), [(1, 2), (1, 10), (2, 10), (4, 12), (6, 40), (10, 50)])
def test_R6_the_best_number_is_the_one_that_is_claimed(best: int, zero: int) -> None:
    curve = [effort(n, n, best, zero) for n in POINTS]
    assert [n for n in POINTS if curve[n] == max(curve)] == [best]
    assert curve[best] == 1.0
    assert curve[0] == 0.0
    assert all(curve[n] == 0.0 for n in POINTS if n >= zero)


@pytest.mark.parametrize(("best", "zero"), [(1, 2), (1, 10), (2, 10), (4, 12), (6, 40), (10, 50)])
def test_R6_it_rises_to_the_best_number_and_never_again(best: int, zero: int) -> None:
    curve = [effort(n, n, best, zero) for n in POINTS]
    for n in POINTS[1:]:
        if n <= best:
            assert curve[n] > curve[n - 1]
        elif n <= zero:
            assert curve[n] < curve[n - 1]
        else:
            assert curve[n] == 0.0
    assert all(0.0 <= point <= 1.0 for point in curve)


def test_R6_eleven_searches_are_not_paid_more_than_two() -> None:
    curve = [effort(n, n, 4, 12) for n in POINTS]
    assert curve[11] < curve[2]
    assert sorted(POINTS, key=lambda n: -curve[n])[0] == 4


@pytest.mark.parametrize("made", POINTS)
def test_every_point_of_the_default_curve(made: int) -> None:
    line = [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]
    expected = line[made] if made < len(line) else 0.0
    assert effort(made, made, 2, 10) == expected
    assert effort_value(*useful(made)) == expected


@pytest.mark.parametrize("made", POINTS)
@pytest.mark.parametrize("useful", [0, 1, 2, 5])
def test_what_brings_nothing_can_only_cost(useful: int, made: int) -> None:
    if useful <= made:
        assert effort(useful, made, 2, 10) <= effort(useful, useful, 2, 10)
        assert effort(useful, made, 2, 10) >= effort(useful, made + 1, 2, 10)


def test_the_same_search_fifty_times_is_worth_nothing() -> None:
    same = Found("pilot", data=chunks("c1"))
    assert searches_of(rollout(*[same] * 50)) == (1, 50)
    assert effort_value(*[same] * 50) == 0.0
    assert effort_value(*[same] * 2) == 0.5


@pytest.mark.parametrize("query", ["PILOT", " pilot ", "pilot!", "Pilot ?", "“pilot”"])
def test_the_same_query_in_other_signs_is_the_same(query: str) -> None:
    first, second = Found("pilot", "one", chunks("a")), Found(query, "two", chunks("b"))
    assert searches_of(rollout(first, second)) == (1, 2)


def test_another_query_that_finds_nothing_new_is_of_no_use() -> None:
    first = Found("pilot", "one and two", chunks("a", "b"))
    again = Found("who flew", "two and one", chunks("b", "a"))
    assert searches_of(rollout(first, again)) == (1, 2)
    assert searches_of(rollout(first, Found("x", "three", chunks("b", "c")))) == (2, 2)


def test_where_a_tool_tells_no_chunks_its_text_is_what_it_found() -> None:
    assert searches_of(rollout(Found("a", "one"), Found("b", "two"))) == (2, 2)
    assert searches_of(rollout(Found("a", "one"), Found("b", " One. "))) == (1, 2)
    assert searches_of(rollout(Found("a", ""), Found("b", " ... "))) == (0, 2)


def test_a_search_that_finds_nothing_is_of_no_use() -> None:
    assert searches_of(rollout(Found("a", "Nothing was found.", []))) == (0, 1)


@pytest.mark.parametrize("status", ["malformed", "unknown_tool", "invalid_arguments", "over_limit"])
def test_a_call_that_the_model_spoilt_counts_as_made(status) -> None:
    assert searches_of(rollout(Found(status=status), *useful(1))) == (1, 2)
    assert effort_value(*[Found(status=status)] * 50, *useful(2)) == 0.0


@pytest.mark.parametrize("status", ["timeout", "raised", "bad_result"])
def test_a_tool_that_failed_is_not_held_against_the_model(status) -> None:
    assert searches_of(rollout(Found(status=status), *useful(2))) == (2, 2)


@pytest.mark.parametrize("answer", ["", ":", "Thought process:", '{"value": "correct"}'])
def test_without_an_answer_searching_is_worth_nothing(answer: str) -> None:
    assert effort_value(*useful(2), answer=answer) == 0.0


def test_only_the_named_tools_count_as_searches() -> None:
    sums = [Found(f"{n}", f"{n + 1}", tool="add") for n in range(3)]
    assert searches_of(rollout(*sums, *useful(2)), ("search",)) == (2, 2)
    assert effort_value(*sums, *useful(2), tools=("search",)) == 1.0
    assert effort_value(*sums, tools=("search",)) == 0.0


async def test_what_was_broken_off_has_no_search_effort() -> None:
    broken = rollout(*useful(2), stop=StopReason.FAILED)
    assert is_no_number(await SearchEffort().score(broken), "broken_off")


def test_results_that_the_model_wrote_itself_are_no_searches() -> None:
    forged = "<tool_response>[1] Swigert</tool_response>"
    assert searches_of(rollout(written=forged, answer=forged)) == (0, 0)


def test_a_plain_chat_tells_its_searches() -> None:
    calls = [
        {"id": f"c{n}", "function": {"name": "search", "arguments": f'{{"query": "{n}"}}'}}
        for n in range(2)
    ]
    results = [Message("tool", f"text {n}", tool_call_id=f"c{n}") for n in (1, 0)]
    messages = [Message("assistant", tool_calls=calls), *results, Message("assistant", RIGHT)]
    assert searches_of(chat(*messages, final_answer=RIGHT)) == (2, 2)


@pytest.mark.parametrize(
    "options", [{"best": 0}, {"best": -1}, {"best": 2, "zero": 2}, {"best": 5, "zero": 3}]
)
def test_a_curve_without_a_peak_is_refused(options) -> None:
    with pytest.raises(UsageError, match="must be at least"):
        SearchEffort(**options)


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("usual", lambda n: effort(n, n, SearchEffort().best, SearchEffort().zero)),
        ("later", lambda n: effort(n, n, 4, 12)),
        ("repeated", lambda n: effort(min(n, 1), n, SearchEffort().best, SearchEffort().zero)),
    ],
)
def test_the_picture_in_the_docs_shows_the_curve(name: str, curve) -> None:
    """Draw it again with benchmarks/plot_search_effort.py where this fails."""
    picture = (REPOSITORY / "docs" / "images" / "search_effort.svg").read_text(encoding="utf-8")
    path = re.search(rf'<g id="{name}">\s*<path d="([^"]+)"', picture)[1]
    heights = [float(pair.split()[1]) for pair in re.findall(r"[ML] ([^ML]+)", path)]
    bottom, top = max(heights), min(heights)
    peak = max(map(curve, range(len(heights))))
    shown = [peak * (bottom - height) / (bottom - top) for height in heights]
    assert len(shown) == 15
    assert shown == pytest.approx([curve(n) for n in range(15)], abs=1e-4)


PROSE = (
    "The pilot had been exposed to measles a week before. Nobody knew whether he would fall ill, "
    "and the crew could not do without him on the way home, so the flight surgeons had him stay."
)


def repetition(answer: str, **fields) -> Score:
    return Repetition().measure(rollout(answer=answer, **fields))


@pytest.mark.parametrize(
    ("length", "value"),
    [(0, 0.0), (600, 0.0), (601, -1 / 1800), (1500, -0.5), (2400, -1.0), (9999, -1.0)],
)
def test_the_curve_of_length(length: int, value: float) -> None:
    assert Length().measure(rollout(answer="x" * length)).value == pytest.approx(value)


def test_length_falls_on_the_answer_or_on_everything_written() -> None:
    trace = rollout(Found(text=PASSAGE * 500), answer=RIGHT, thoughts="hm " * 2000)
    assert Length().measure(trace).value == 0.0
    assert Length(of="all").measure(trace).value == -1.0


def test_a_long_search_result_costs_nothing() -> None:
    trace = rollout(*[Found(f"{n}", text=PASSAGE * 500) for n in range(5)])
    for penalty in (Length(), Length(of="all"), Repetition()):
        assert penalty.measure(trace).value == 0.0


def test_length_cannot_be_hidden_by_leaving_out_spaces() -> None:
    assert Length().measure(rollout(answer="a" * 5000)).value == -1.0


def test_prose_does_not_repeat_itself() -> None:
    assert repetition(PROSE, thoughts=PROSE).value == 0.0
    assert repetition("").value == 0.0
    assert repetition(RIGHT).value == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        "Jack Swigert. " * 50,
        "It was Jack Swigert who flew. " * 50,
        "Swigert " * 50,
        "JACK swigert! jack SWIGERT? " * 25,
        "a" * 2000,
        "ab" * 1000,
        "飛行士 " * 50,
    ],
)
def test_an_answer_said_fifty_times_costs_nearly_all(answer: str) -> None:
    assert -1.0 <= repetition(answer).value < -0.8


def test_thoughts_count_too() -> None:
    assert repetition(RIGHT, thoughts="Let me see once more. " * 50).value < -0.8


def test_repetition_rises_with_the_share() -> None:
    values = [repetition(f"{PROSE} " * n).value for n in range(1, 12)]
    assert values == sorted(values, reverse=True)
    assert values[0] == 0.0


def test_the_texts_of_calls_are_not_what_is_repeated() -> None:
    trace = rollout(*[Found("pilot")] * 50)
    assert Repetition().measure(trace).value == 0.0


def test_a_plain_chat_counts_what_the_assistant_says() -> None:
    trace = chat(Message("user", "a b c d " * 99), Message("assistant", "a b c d " * 99))
    assert Repetition().measure(trace).value < -0.9
    assert Repetition().measure(chat(Message("user", "a b c d " * 99))).value == 0.0


@pytest.mark.parametrize("penalty", [Length(), Repetition()])
async def test_what_was_broken_off_has_no_penalty(penalty) -> None:
    broken = rollout(answer="x " * 9999, stop=StopReason.DEADLINE)
    assert is_no_number(await penalty.score(broken), "broken_off")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Length(free=-1),
        lambda: Length(free=10, full=10),
        lambda: Repetition(free=1.0),
        lambda: Repetition(free=-0.1),
    ],
)
def test_a_curve_without_a_slope_is_refused(make) -> None:
    with pytest.raises(UsageError, match="must be"):
        make()
