"""The viewer over HTTP: who may look, what is shown, and that no text of a row is ever markup."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from plaudit.cli.runs import open_store
from plaudit.viewer.labelling import LabelOptions
from tests.support.command import EXAMPLES, Here, write_rows
from tests.support.pages import Tags
from tests.support.viewing import TOKEN, Viewer, viewing
from tests.viewer.conftest import Write, lines, not_ok, verdict

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>[a](http://evil.example/)\u202e\x1b[31m"
)


def hostile(value: Any, keep: tuple[str, ...] = ("status", "drawn", "role")) -> Any:
    """The same with each text, and each key of what is open, hostile."""
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, list):
        return [hostile(one, keep) for one in value]
    if isinstance(value, dict):
        return {name: one if name in keep else hostile(one, keep) for name, one in value.items()}
    return value


def trace(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"q/{number}",
        "question_id": "q",
        "group": "q",
        "draw": number,
        "question": {"question": "How high?", "answer": ["31 m"]},
        "messages": [
            {"role": "user", "content": "How high?"},
            {"role": "assistant", "tool_calls": [
                {"id": "c1", "type": "function",
                 "function": {"name": "search", "arguments": '{"query":"hut"}'}}]},
            {"role": "tool", "content": "31 metres", "tool_call_id": "c1"},
            {"role": "assistant", "content": "**31 m**"},
        ],
        "turns": [{"reasoning": "I search.", "usage": {"output_tokens": 7}},
                  {"reasoning": "", "usage": {"output_tokens": 3}}],
        "tool_calls": [{"id": "c1", "name": "search", "status": "ok", "seconds": 0.25}],
        "stop_reason": "answered",
        "final_answer": "31 m",
        "rewards": {"total": {"value": 0.5 + number, "reason": "it is right"},
                    "format": {"value": None, "cause": "undecided", "reason": "it has none"}},
        "tokens": {"ids": list(range(20)), "mask": [0] * 8 + [1] * 7 + [0] * 2 + [1] * 3,
                   "prompt_length": 8, "forks": 1, "truncated": 0, "exactness": "exact"},
        "timing": {"total": 1.5, "engine": 1.0, "tools": 0.25},
        "usage": {"input_tokens": 40, "output_tokens": 10},
        "engine": "scripted:x",
    } | changes  # fmt: skip


def pair(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "example_id": f"e{number}", "turn_id": 0, "run": "one", "prompt": "How high?",
        "chosen": "It is 31 metres.", "rejected": "It is 13 metres.",
        "chosen_score": 0.9, "rejected_score": 0.1, "margin": 0.8, "metadata": {"source": "x"},
    } | changes  # fmt: skip


def pairwise(number: int = 0, **changes: Any) -> dict[str, Any]:
    given = {"prompt": "Which?", "response_a": "One.", "response_b": "Other."}
    orders = [
        {"value": "A", "probabilities": {"A": 0.9, "B": 0.1}, "p_a": 0.9, "reason": "first"},
        {"value": "B", "probabilities": {"A": 0.4, "B": 0.6}, "p_a": 0.4, "reason": "then"},
    ]
    return verdict(number, value="A", input=given, fields={"orders": orders, "note": "unsure"},
                   raw=["[[A]]"], probabilities={"A": 0.65, "B": 0.35},
                   metadata={"label": "A"}, **changes)  # fmt: skip


def assert_harmless(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert page.count("<script") == page.count('<script type="module" src="/static/viewer.js">')
    assert "img" not in tags.names
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    outside = [text for name, text in tags.attributes if name in ("href", "src", "action")
               and text and not text.startswith(("/", "?", "#", "viewer.css"))
               and not re.fullmatch(r"(\d+|index)\.html", text)]  # fmt: skip
    assert outside == []
    assert not {"\u202e", "\x1b"} & set(tags.text)  # In values of forms they stay.


# Who may look.


async def test_a_token_is_needed_once(write: Write) -> None:
    async with viewing(write(verdict(0)), known=False) as viewer:
        first = await viewer.get(viewer.first)
        assert (first.status, "open the URL that" in first.text) == (401, True)
        assert (await viewer.get(f"{viewer.first}?token=wrong")).status == 401
        answer = await viewer.get(f"{viewer.first}?sort=id&token={TOKEN}", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, f"{viewer.first}?sort=id")
        assert "HttpOnly" in answer.headers["Set-Cookie"]
        assert "SameSite=Strict" in answer.headers["Set-Cookie"]
        assert (await viewer.get(viewer.first)).status == 200
        answer = await viewer.get("/static/viewer.js")
        assert answer.headers["Content-Type"].startswith("text/javascript")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Host": "localhost"}, 401),  # Another name has another cookie.
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_another_name_and_another_site_are_refused(
    write: Write, headers: dict[str, str], status: int
) -> None:
    async with viewing(write(verdict(0))) as viewer:
        assert (await viewer.get(viewer.first, headers=headers)).status == status
        own = {"Origin": viewer.url}
        assert (await viewer.get(viewer.first, headers=own)).status == 200


async def test_what_is_not_there_and_what_is_wrong_is_said(write: Write) -> None:
    async with viewing(write(verdict(0)), write(pair(), name="pairs.jsonl")) as viewer:
        verdicts, pairs = viewer.slugs
        for path, status, said in [
            ("/nothing", 404, "Not Found"),
            ("/d/other", 404, "this file is not open"),
            ("/static/other.js", 404, "there is no other.js"),
            (f"/d/{verdicts}/7", 400, "has 1 rows, and no row 7"),
            (f"/d/{verdicts}?reward=high", 400, "write a range of numbers as 0.2..0.5"),
            (f"/d/{verdicts}?colour=red", 400, "verdicts have no column &#39;colour&#39;"),
            (f"/d/{verdicts}?sort=colour", 400, "verdicts have no column"),
            (f"/d/{verdicts}?after=x", 400, "is no row"),
            (f"/compare/{verdicts}/{pairs}", 400, "verdicts"),
            (f"/compare/{verdicts}/{verdicts}/9", 404, "has no row that goes with row 9"),
            (f"/label/{pairs}", 400, "holds pairs, and no verdicts to label"),
            ("/run/feedback-0001", 400, "no store"),
        ]:
            answer = await viewer.get(path)
            assert (answer.status, said in answer.text) == (status, True), (path, answer.text)
            assert 'href="/"' in answer.text
        assert (await viewer.get(f"/label/{verdicts}")).status == 200
        assert (await viewer.post(f"/d/{verdicts}")).status == 405


# Pages.


async def test_a_verdict_shows_both_orders_and_what_each_said(write: Write) -> None:
    async with viewing(write(pairwise(), verdict(1))) as viewer:
        page = await viewer.page(f"{viewer.first}/0")
        for words in ("A shown first: A", "B shown first: B", "A is better with 0.900", "first",
                      "then", "0.650", "[[A]]", "label: agrees", "unsure"):  # fmt: skip
            assert words in page, words
        assert 'rel="next"' in page
        assert 'rel="prev"' not in page


async def test_a_verdict_shows_who_was_asked_and_who_decided(write: Write) -> None:
    small = {"name": "small", "judge": "feedback/a", "status": "abstained", "value": "neutral",
             "reward": None, "confidence": 0.3, "cause": "below_gate"}  # fmt: skip
    large = small | {"name": "large", "status": "ok", "value": "praise", "cause": None}
    fields = {"step": "large", "members": [small, large]}
    async with viewing(write(hostile(verdict(0, fields=fields)))) as viewer:
        page = await viewer.page(f"{viewer.first}/0")
        assert_harmless(page)
        table = page.split("Who was asked</h2>")[1].split("</table>")[0]
        assert table.count("decided</span>") == 1
        assert "below_gate" in table


async def test_a_trace_shows_turns_calls_rewards_the_mask_and_its_group(write: Write) -> None:
    async with viewing(write(trace(0), trace(1))) as viewer:
        page = await viewer.page(f"{viewer.first}/0")
        for words in ("I search.", "calls <b>search</b>", "0.25 s", "7 tokens", "it is right",
                      "undecided", "10 of 20 tokens are learned from", "1 forks", "The group",
                      "<strong>31 m</strong>", "call ok"):  # fmt: skip
            assert words in page, words
        assert page.count("learned from</title>") == 2
        assert "\N{MINUS SIGN}1<" in page.split("The group")[1]  # the advantage of the worse one


async def test_a_pair_shows_what_differs(write: Write) -> None:
    async with viewing(write(pair())) as viewer:
        page = await viewer.page(f"{viewer.first}/0")
        assert "It is <ins>31</ins> metres." in page
        assert "It is <del>13</del> metres." in page


async def test_a_malformed_row_is_shown_with_its_place(write: Write) -> None:
    path = write(verdict(0))
    path.write_bytes(path.read_bytes() + b'{"id": <b>\n')
    async with viewing(path) as viewer:
        page = await viewer.page(f"{viewer.first}/1")
        assert "out.jsonl:2: not a row" in page
        assert "{&#34;id&#34;: &lt;b&gt;" in page
        assert "malformed" in await viewer.page(viewer.first)


async def test_hostile_texts_are_text_on_every_page(write: Write, tmp_path: Path) -> None:
    rows = [hostile(pairwise(0)), hostile(pairwise(1, error={"cause": "c", "message": "m"}))]
    other = [hostile(pairwise(0)) | {"value": f"B{HOSTILE}"}]
    files = [
        write(*rows, hostile(not_ok(2, "failed", "timeout"), ()), name="<b>.jsonl"),
        write(*other, name="other.jsonl"),
        write(hostile(trace(0)), hostile(trace(1)), name="traces.jsonl"),
        write(hostile(pair()), name="pairs.jsonl"),
        write({"id": HOSTILE, "label": HOSTILE, "a": [{HOSTILE: HOSTILE}]}, name="rows.jsonl"),
    ]
    async with viewing(*files) as viewer:
        first, second, *_ = viewer.slugs
        paths = ["/", f"/compare/{first}/{second}", f"/compare/{first}/{second}/0"]
        paths += [f"/label/{first}", f"/d/{first}/2", f"/d/{first}/1"]
        paths += [path for slug in viewer.slugs for path in (f"/d/{slug}", f"/d/{slug}/0")]
        for path in paths:
            page = await viewer.page(path)
            assert_harmless(page)
            if path != "/":
                assert "&lt;script&gt;" in page, path
        for path in (f"/d/{first}?text=<script>", f'/d/{first}?id="><script>', "/?search=<script>"):
            assert_harmless((await viewer.get(path)).text)
        label = f"label:praise{HOSTILE}"
        assert_harmless((await viewer.post(f"/label/{first}", answer=label, row="0")).text)
        raw = await viewer.get(f"/d/{first}/0.json")
        assert raw.headers["Content-Type"].startswith("text/plain")
        assert raw.body == msgspec.json.encode(rows[0])
        packed = zipfile.ZipFile(io.BytesIO((await viewer.get(f"/d/{first}/pages.zip")).body))
        for name in packed.namelist():
            if name.endswith(".html"):
                assert_harmless(packed.read(name).decode())


# Large and changing files.


async def test_a_row_of_10_mb_is_cut_and_shown_whole_where_asked(write: Write) -> None:
    text = "word " * 2_000_000
    async with viewing(write(verdict(0, input={"prompt": "Count.", "response": text}))) as viewer:
        page = await viewer.page(f"{viewer.first}/0")
        assert "9,980,000 more characters" in page
        assert len(page) < 100_000
        assert len(await viewer.page(f"{viewer.first}/0?whole")) > 9_000_000
        assert len(await viewer.page(viewer.first)) < 50_000
        assert len((await viewer.get(f"{viewer.first}/rows.jsonl")).body) > 10_000_000


async def test_100_000_messages_are_shown_in_parts(write: Write) -> None:
    messages = [{"role": "user", "content": f"Message {n}."} for n in range(100_000)]
    async with viewing(write(trace(messages=messages))) as viewer:
        page = await viewer.page(f"{viewer.first}/0")
        assert "Messages up to 200 of 100,000" in page
        assert "Message 199." in page
        page = await viewer.page(f"{viewer.first}/0?from=99900")
        assert "Message 99999." in page
        assert "Message 99899." not in page


async def test_a_file_that_grows_shows_its_new_rows(write: Write) -> None:
    path = write(verdict(0))
    async with viewing(path) as viewer:
        assert "1 of 1 verdicts" in await viewer.page(viewer.first)
        with path.open("ab") as file:
            file.write(lines([verdict(1)]) + b'{"id": "half')
        page = await viewer.page(viewer.first)
        assert "2 of 2 verdicts" in page
        assert "12 bytes are not shown" in page


async def test_a_file_that_was_cut_is_read_again(write: Write) -> None:
    path = write(*(verdict(n) for n in range(9)))
    async with viewing(path) as viewer:
        await viewer.page(viewer.first)
        path.write_bytes(lines([verdict(0)]))
        assert "1 of 1 verdicts" in await viewer.page(viewer.first)
        assert (await viewer.get(f"{viewer.first}/5")).status == 400


async def test_a_file_that_was_deleted_is_shown_as_it_was(write: Write) -> None:
    path = write(verdict(0), verdict(1))
    async with viewing(path) as viewer:
        await viewer.page(viewer.first)
        path.unlink()
        page = await viewer.page(viewer.first)
        assert "The file is gone" in page
        assert "s-1" in await viewer.page(f"{viewer.first}/1")


async def test_an_empty_file_has_no_rows(write: Write) -> None:
    async with viewing(write()) as viewer:
        assert "0 of 0" in await viewer.page(viewer.first)


# Saving.


async def test_what_is_filtered_is_saved_as_lines(write: Write) -> None:
    path = write(*(verdict(n, value="ab"[n % 2]) for n in range(6)), not_ok(6, "failed", "timeout"))
    async with viewing(path) as viewer:
        answer = await viewer.get(f"{viewer.first}/rows.jsonl?value=a")
        assert answer.body == b"".join(path.read_bytes().splitlines(keepends=True)[0:6:2])
        assert answer.headers["Content-Disposition"].startswith("attachment")


async def test_a_saved_folder_links_to_nothing_outside_of_it(write: Write) -> None:
    path = write(*(verdict(n) for n in range(4)), name="out.jsonl")
    async with viewing(path) as viewer:
        answer = await viewer.get(f"{viewer.first}/pages.zip?id=s-1")
        packed = zipfile.ZipFile(io.BytesIO(answer.body))
        folder = viewer.slugs[0]
        names = {name.removeprefix(f"{folder}/") for name in packed.namelist()}
        assert names == {"viewer.css", "index.html", "1.html"}
        for name in ("index.html", "1.html"):
            tags = Tags()
            tags.feed(packed.read(f"{folder}/{name}").decode())
            links = {text for key, text in tags.attributes if key in ("href", "src")}
            assert links <= {"viewer.css", "index.html", "1.html", "#main"}
            assert not {"script", "form"} & tags.names
        assert "Text 1" in packed.read(f"{folder}/1.html").decode()
        assert (await viewer.get(f"{viewer.first}/pages.zip?id=s-1")).body == answer.body


# Labels.


def label_rows(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


async def give(viewer: Viewer, answer: str) -> str:
    """Answer what is shown, as a person does."""
    path = f"/label/{viewer.slugs[0]}"
    row = re.search(r'name="row" value="(\d+)"', await viewer.page(path))
    assert row is not None
    return (await viewer.post(path, answer=answer, row=row[1])).text


async def test_labels_are_given_taken_back_and_kept_beside_the_file(write: Write) -> None:
    path = write(*(verdict(n, value="praise" if n % 2 else "blame") for n in range(9)))
    async with viewing(path, options=LabelOptions(annotator="ada")) as viewer:
        page = await viewer.page(f"/label/{viewer.slugs[0]}")
        assert "praise" in page
        assert "reward" not in page.replace("rewards", "")  # What the judge said stays unseen.
        assert "you said <b>praise</b>" in await give(viewer, "label:praise")
        await give(viewer, "unsure")
        await give(viewer, "skipped")
        found = label_rows(path.with_name("out.labels.jsonl"))
        assert [row["answer"] for row in found] == ["label", "unsure", "skipped"]
        assert found[0].keys() == {"run", "index", "id", "label", "answer", "annotator", "drawn"}
        await viewer.post(f"/label/{viewer.slugs[0]}", answer="undo")
        assert len(label_rows(path.with_name("out.labels.jsonl"))) == 2
        answer = await viewer.post(f"/label/{viewer.slugs[0]}", answer="label:praise", row="999")
        assert answer.status == 200  # It was given twice: nothing happens.
        assert len(label_rows(path.with_name("out.labels.jsonl"))) == 2
        assert "is no answer" in await give(viewer, "label:other")


async def test_no_promise_is_made_before_a_look(write: Write) -> None:
    async with viewing(write(*(verdict(n) for n in range(9)))) as viewer:
        path = f"/label/{viewer.slugs[0]}"
        answer = await viewer.post(path, answer="calibrate", target="0.8", delta="0.05")
        assert answer.status == 400
        assert "a promise may first be made with 100 random labels" in answer.text
        answer = await viewer.post(path, answer="calibrate", target="much", delta="0.05")
        assert "is no share: write it as 0.8" in answer.text


async def test_a_label_that_cannot_be_written_is_not_lost_in_silence(
    write: Write, tmp_path: Path
) -> None:
    options = LabelOptions(file=str(tmp_path / "none" / "labels.jsonl"), annotator="ada")
    async with viewing(write(*(verdict(n) for n in range(3))), options=options) as viewer:
        page = await give(viewer, "label:praise")
        assert "The label was not kept" in page
        assert "you said" not in page
        (tmp_path / "none").mkdir()
        assert "you said <b>praise</b>" in await give(viewer, "label:praise")


async def test_a_file_that_holds_no_labels_is_refused(write: Write) -> None:
    path = write(verdict(0))
    path.with_name("out.labels.jsonl").write_text('{"label": "x"}\n')
    async with viewing(path) as viewer:
        answer = await viewer.get(f"/label/{viewer.slugs[0]}")
        assert answer.status == 400
        assert "out.labels.jsonl:1: not a label of plaudit view" in answer.text


async def test_a_look_promises_what_its_random_labels_carry(write: Write) -> None:
    sure = {"fields": {"raw_confidence": 0.95}, "confidence": 0.95}
    rows = [verdict(n, value="praise" if n % 2 else "blame", **sure) for n in range(120)]
    path = write(*rows)
    draws = [{"run": "out.jsonl", "index": n, "id": f"s-{n}", "annotator": "ada",
              "label": rows[n]["value"] if n % 20 else None, "drawn": "random",
              "answer": "label" if n % 20 else "unsure"} for n in range(100)]  # fmt: skip
    write(*draws, name="out.labels.jsonl")
    async with viewing(path, options=LabelOptions(annotator="ada")) as viewer:
        page = f"/label/{viewer.slugs[0]}"
        assert "The look at 100 random labels is open" in await viewer.page(page)
        answer = await viewer.post(page, answer="calibrate", target="0.8", delta="0.05")
        assert "With 100 random labels, gate" in answer.text
        assert "promises 80.0%" in answer.text
        strict = await viewer.post(page, answer="calibrate", target="0.99", delta="0.05")
        assert "With 100 random labels no gate promises 99.0%" in strict.text
        saved = msgspec.json.decode(path.with_name("out.calibration.json").read_bytes())
        assert saved["gate"] is None


# Runs of a store.


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """The output of a run in the store of the folder `home`."""
    out, script = tmp_path / "out.jsonl", EXAMPLES / "replies" / "pairwise.jsonl"
    given = ("--limit", "3", "-e", f"scripted:{script}", "-o", out)
    done = Here(tmp_path / "home")("judge", "pairwise", EXAMPLES / "pairwise.jsonl", *given)
    assert done.status == 0, done.stderr
    return out


async def test_a_run_shows_its_output_its_prompts_and_what_is_left_of_it(judged: Path) -> None:
    out, store = judged, str(judged.parent / "home" / "store.sqlite")
    async with viewing(open_store=lambda: open_store(store)) as viewer:
        home = await viewer.page("/")
        name = re.search(r'href="/run/([^"]+)"', home)
        assert name is not None
        assert "pairwise.jsonl" in home
        assert "No run matches" in await viewer.page("/?search=nothing")
        assert "3 of 3 verdicts" in await viewer.page(f"/run/{name[1]}")
        prompt = await viewer.page(f"{viewer.first}/0/prompt")
        assert "What was asked, and what came back" in prompt
        assert prompt.count("<h2>Reply") == 2
        assert "<mark>212 °F.</mark>" in prompt
        assert prompt.count("<h2>Prompt") == 2  # One an order.
        (judged.parent / "copy.jsonl").write_bytes(out.read_bytes())
        with out.open("ab") as file:
            file.write(lines([verdict(9)]))
        page = await viewer.page(viewer.first)
        assert f"The run {name[1]} wrote 3 rows, and this file has 4" in page
        out.unlink()
        page = await viewer.page(f"/run/{name[1]}")
        assert "These are its verdicts in the store, without their inputs" in page
        assert (await viewer.get("/run/pairwise-9999")).status == 400
        left = await viewer.page(f"/d/{viewer.slugs[-1]}/0/prompt")
        assert "the prompt cannot be shown" in left
        assert left.count("<h2>Reply") == 2
    async with viewing(judged.parent / "copy.jsonl") as viewer:
        lost = await viewer.get(f"{viewer.first}/0/prompt")
        assert (lost.status, "the prompt cannot be shown" in lost.text) == (404, True)


@pytest.fixture
def timed_out(tmp_path: Path) -> Path:
    """The output of a run whose requests failed."""
    rows = write_rows(tmp_path / "rows.jsonl", [{"prompt": "p", "response": "r"}])
    reply = {"match": {}, "replies": [{"error": "timeout"}] * 9}
    script, out = write_rows(tmp_path / "script.jsonl", [reply]), tmp_path / "failed.jsonl"
    given = ("-e", f"scripted:{script}", "--readout", "json", "-o", out)
    done = Here(tmp_path / "home")("judge", "pointwise", rows, *given)
    assert out.exists(), done.stderr + done.stdout
    return out


async def test_failed_attempts_are_shown(timed_out: Path) -> None:
    store = str(timed_out.parent / "home" / "store.sqlite")
    async with viewing(timed_out, open_store=lambda: open_store(store)) as viewer:
        page = await viewer.page(f"{viewer.first}/0/prompt")
        assert "Requests that brought no reply" in page
        assert "<td>timeout</td>" in page


async def test_a_store_of_a_newer_plaudit_is_said_and_files_are_shown(
    write: Write, tmp_path: Path
) -> None:
    import sqlite3

    place = tmp_path / "store.sqlite"
    open_store(str(place)).close()
    with sqlite3.connect(place) as database:
        database.execute("PRAGMA user_version = 9999")
    database.close()
    async with viewing(write(verdict(0)), open_store=lambda: open_store(str(place))) as viewer:
        page = await viewer.page("/")
        assert "newer" in page
        assert "out.jsonl" in page
        await viewer.page(viewer.first)


async def test_two_cookies_do_not_help_each_other(write: Write) -> None:
    async with viewing(write(verdict(0))) as viewer, aiohttp.ClientSession() as other:
        port = viewer.url.rpartition(":")[2]
        headers = {"Cookie": f"plaudit_view_{port}=wrong"}
        async with other.get(viewer.url, headers=headers) as reply:
            assert reply.status == 401
