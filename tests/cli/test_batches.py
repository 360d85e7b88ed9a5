"""`--batch` and `plaudit batches`, against a stand-in process of each provider."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.batch_provider import KEYS, SCHEMES, BatchProvider
from tests.support.command import EXAMPLES, Done, Here, Plaudit

FEEDBACK = EXAMPLES / "feedback.jsonl"
PAIRS = EXAMPLES / "pairwise.jsonl"
QUICK = ("--batch", "--batch-poll", "0.05", "--batch-settle", "0")
REQUESTS = {"openai": 7, "together": 7, "mistral": 7, "anthropic": 6, "gemini": 8}
"""HTTP requests of a run of one batch: models, a live one, upload, create, two looks, results."""


@pytest.fixture(params=SCHEMES)
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BatchProvider]:
    with BatchProvider(request.param, tmp_path / "provider") as started:
        yield started


@pytest.fixture
def openai(tmp_path: Path) -> Iterator[BatchProvider]:
    with BatchProvider("openai", tmp_path / "provider") as started:
        yield started


@pytest.fixture
def anthropic(tmp_path: Path) -> Iterator[BatchProvider]:
    with BatchProvider("anthropic", tmp_path / "provider") as started:
        yield started


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home", env=KEYS)


def feedback(run: Plaudit, provider: BatchProvider, *more: str, rows: int = 6) -> Done:
    return run(
        "judge", "feedback", FEEDBACK, "-e", provider.uri, "--readout", "json",
        "--limit", str(rows), "--json", *QUICK, *more,
    )  # fmt: skip


def listed(run: Plaudit, *more: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("batches", "--json", *more).stdout.splitlines()]


def test_rows_are_answered_by_a_batch_and_paid_once(
    provider: BatchProvider, plaudit: Plaudit
) -> None:
    provider.plan(reverse=True, twice=True, looks=2)
    done = feedback(plaudit, provider)
    assert done.status == 0, done.stderr
    assert done.summary["ok"] == done.summary["samples"] == 6
    assert done.summary["batch"]["batches"] == 1
    assert done.summary["batch"]["answered"] == 5  # One request was asked live, as a trial.
    assert done.summary["input_tokens"] == 600 and done.summary["engine_calls"] == 6
    assert done.summary["cached"] == 0
    assert provider.created == [5] and set(provider.paid().values()) == {1}
    assert len(provider.paid("live")) == 1
    (batch,) = listed(plaudit)
    assert (batch["state"], batch["answered"], batch["failed"]) == ("collected", 5, 0)


def test_batch_and_live_replies_are_the_same_stored_replies(
    provider: BatchProvider, plaudit: Plaudit
) -> None:
    feedback(plaudit, provider)
    live = plaudit(
        "judge", "feedback", FEEDBACK, "-e", provider.uri, "--readout", "json", "--limit", "7",
        "--json",
    )  # fmt: skip
    assert (live.status, live.summary["cached"], live.summary["engine_calls"]) == (0, 6, 1)
    again = feedback(plaudit, provider, rows=7)
    assert (again.summary["cached"], again.summary["engine_calls"]) == (7, 0)
    assert again.summary["batch"]["batches"] == 0
    assert provider.created == [5]


@pytest.mark.parametrize("kind", ["expired", "errored", "lost"])
def test_rows_without_a_reply_fail_with_a_cause_and_are_asked_again(
    provider: BatchProvider, plaudit: Plaudit, kind: str
) -> None:
    provider.plan(**{kind: 2})
    done = feedback(plaudit, provider)
    assert done.status == 1, done.stderr
    assert (done.summary["ok"], done.summary["failed"]) == (4, 2)
    rest = "bad_response" if provider.scheme in ("anthropic", "together*") else "expired"
    cause = {"expired": "expired", "errored": "bad_request", "lost": rest}[kind]
    if provider.scheme == "gemini" and kind == "expired":
        cause = "bad_request"  # Its stand-in writes one form of error.
    assert done.summary["causes"] == {cause: 2}
    provider.plan()
    again = feedback(plaudit, provider)
    assert (again.status, again.summary["ok"]) == (0, 6), again.stderr
    assert sum(provider.paid().values()) + sum(provider.paid("live").values()) == 6


def test_a_batch_refused_whole_fails_its_rows(provider: BatchProvider, plaudit: Plaudit) -> None:
    if provider.scheme == "anthropic":
        pytest.skip("Anthropic refuses with the request that creates the batch")
    provider.plan(refuse="line 1: no such thing")
    done = feedback(plaudit, provider)
    assert (done.status, done.summary["failed"]) == (1, 5), done.stderr
    assert "refused whole: " in done.summary["examples"]["bad_request"]
    assert "no such thing" in done.summary["examples"]["bad_request"]
    assert provider.paid() == {}


def test_a_busy_provider_is_asked_again_and_a_dropped_create_is_found(
    provider: BatchProvider, plaudit: Plaudit
) -> None:
    provider.plan(busy=2, drop_create=1)
    done = feedback(plaudit, provider)
    assert (done.status, done.summary["ok"]) == (0, 6), done.stderr
    assert provider.created == [5] and set(provider.paid().values()) == {1}


def test_limits_make_several_batches(openai: BatchProvider, plaudit: Plaudit) -> None:
    done = feedback(plaudit, openai, "--batch-rows", "2", rows=8)
    assert (done.status, done.summary["ok"]) == (0, 8), done.stderr
    assert openai.created == [2, 2, 2, 1] and set(openai.paid().values()) == {1}
    assert [one["rows"] for one in listed(plaudit)] == [1, 2, 2, 2]


def test_a_full_queue_waits_for_the_batches_before_it(
    openai: BatchProvider, plaudit: Plaudit
) -> None:
    openai.plan(refuse_second="token_limit_exceeded: enqueued token limit reached")
    done = feedback(plaudit, openai, "--batch-rows", "3", rows=7)
    assert (done.status, done.summary["ok"]) == (0, 7), done.stderr
    assert openai.created == [3, 3, 3] and set(openai.paid().values()) == {1}


def test_both_orders_go_in_one_batch(anthropic: BatchProvider, plaudit: Plaudit) -> None:
    anthropic.plan(reply=json.dumps(dict.fromkeys(PAIR_TEXTS, "x") | {"choice": "A+"}))
    done = plaudit(
        "judge", "pairwise", PAIRS, "-e", anthropic.uri, "--limit", "3", "--json", *QUICK
    )
    assert done.status == 0, done.stderr
    assert anthropic.created == [5] and len(anthropic.paid("live")) == 1


PAIR_TEXTS = ("analysis of A", "analysis of B", "reason of A=B", "reason of A>B", "reason of B>A")


def test_repairs_come_in_a_second_wave(openai: BatchProvider, plaudit: Plaudit) -> None:
    good = json.dumps({"rationale": "x", "label": "neg_correction", "confidence": 0.9})
    openai.plan(reply="no JSON", replies=[["no JSON", good]])
    done = feedback(plaudit, openai)
    assert (done.status, done.summary["ok"]) == (0, 6), done.stderr
    assert openai.created == [6, 5]  # The trial's repair comes with the other first requests.
    assert set(openai.paid().values()) == {1}


def test_votes_are_asked_in_waves(openai: BatchProvider, plaudit: Plaudit) -> None:
    done = feedback(plaudit, openai, "--votes", "3", "--all-votes", "--temperature", "1")
    assert (done.status, done.summary["ok"]) == (0, 6), done.stderr
    assert sum(openai.created) == 17
    assert set(openai.paid().values()) <= {2, 3}  # The draws of a sample have one prompt.


def test_a_cascade_asks_the_next_step_in_a_further_wave(
    openai: BatchProvider, plaudit: Plaudit, tmp_path: Path
) -> None:
    unsure = json.dumps({"rationale": "x", "label": "neg_correction", "confidence": 0.4})
    openai.plan(replies=[["vegetarian", unsure], ["Vegetarian", unsure]])
    spec = tmp_path / "cascade.toml"
    spec.write_text(
        f'[[steps]]\nname = "small"\nengine = "{openai.uri}?revision=1"\ngate = 0.8\n'
        f'readout = "json"\n[[steps]]\nname = "large"\nengine = "{openai.uri}?revision=2"\n'
        'readout = "json"\n'
    )
    done = plaudit(
        "judge", "feedback", FEEDBACK, "--cascade", spec, "--limit", "6", "--json", *QUICK
    )
    assert done.summary["samples"] == 6, done.stderr
    steps = done.summary["panel"]["members"]
    assert [step["samples"] for step in steps] == [6, 1]


def test_a_jury_asks_all_members_in_one_wave(
    openai: BatchProvider, plaudit: Plaudit, tmp_path: Path
) -> None:
    spec = tmp_path / "jury.toml"
    spec.write_text(
        "".join(
            f'[[members]]\nname = "{name}"\nengine = "{openai.uri}?revision={name}"\n'
            'readout = "json"\n'
            for name in "ab"
        )
    )
    done = plaudit("judge", "feedback", FEEDBACK, "--jury", spec, "--limit", "4", "--json", *QUICK)
    assert (done.status, done.summary["ok"]) == (0, 4), done.stderr
    assert openai.created == [3, 3]


def test_the_estimate_and_the_bill_have_both_prices(
    openai: BatchProvider, plaudit: Plaudit, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text('{"m": {"input": 10.0, "output": 100.0}}')
    done = feedback(plaudit, openai, "--prices", str(prices))
    assert re.search(r"at most about \$0\.\d+; live \$0\.\d+", done.stderr), done.stderr
    bill = done.summary["batch"]
    assert bill["live_cost_usd"] == pytest.approx(5 * (100 * 10 + 20 * 100) / 1e6)
    assert bill["cost_usd"] == pytest.approx(bill["live_cost_usd"] / 2)
    live = (100 * 10 + 20 * 100) / 1e6
    assert done.summary["cost_usd"] == pytest.approx(bill["cost_usd"] + live)


def test_wrong_usage_is_refused_before_anything_is_sent(
    openai: BatchProvider, plaudit: Plaudit
) -> None:
    for more, said in (
        (("-e", "grok:m"), "no batch API"),
        (("-e", openai.uri, "--fresh"), "--fresh"),
    ):
        done = plaudit("judge", "feedback", FEEDBACK, "--batch", *more)
        assert done.status == 2 and said in done.stderr, done.stderr
    done = plaudit("judge", "feedback", "-", "--batch", "-e", openai.uri)
    assert done.status == 2 and "several times" in done.stderr
    assert openai.lines("requests") == []


def test_a_refused_key_ends_the_run(openai: BatchProvider, tmp_path: Path) -> None:
    run = Here(tmp_path / "home", env=KEYS | {"OPENAI_API_KEY": "wrong-key-of-the-tests"})
    done = feedback(run, openai)
    assert done.status == 3 and "OPENAI_API_KEY" in done.stderr
    assert "wrong-key" not in done.stderr


def test_a_reply_that_the_store_lost_is_fetched_again_and_not_paid_again(
    openai: BatchProvider, plaudit: Plaudit
) -> None:
    feedback(plaudit, openai)
    for file in plaudit.home.glob("store.sqlite*"):
        file.unlink()
    done = feedback(plaudit, openai)
    assert (done.status, done.summary["ok"]) == (0, 6), done.stderr
    assert openai.created == [5]


# Stopped, and come back


def test_ctrl_c_leaves_the_batch_and_says_how_to_come_back(
    provider: BatchProvider, tmp_path: Path
) -> None:
    provider.plan(looks=10_000)
    run = Plaudit(tmp_path / "home", env=KEYS)
    child = run.start(
        "judge", "feedback", FEEDBACK, "-e", provider.uri, "--readout", "json",
        "--limit", "6", "--json", *QUICK,
    )  # fmt: skip
    while provider.created != [5] or provider.lines("requests")[-1]["method"] != "GET":
        assert child.poll() is None
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=100)
    assert child.returncode == 130 and "plaudit batches" in said
    here = Here(tmp_path / "home", env=KEYS)
    (batch,) = listed(here)
    assert (batch["state"], batch["rows"]) == ("running", 5)
    provider.plan()
    followed = here("batches", "--follow", "--poll", "0.05")
    assert followed.status == 0 and "5 answered" in followed.stdout, followed.stderr
    done = feedback(here, provider)
    assert (done.status, done.summary["ok"], done.summary["cached"]) == (0, 6, 6)
    assert provider.created == [5] and set(provider.paid().values()) == {1}


def test_a_canceled_batch_keeps_what_is_answered(provider: BatchProvider, tmp_path: Path) -> None:
    provider.plan(looks=10_000)
    here, run = Here(tmp_path / "home", env=KEYS), Plaudit(tmp_path / "home", env=KEYS)
    child = run.start(
        "judge", "feedback", FEEDBACK, "-e", provider.uri, "--readout", "json",
        "--limit", "6", "--json", *QUICK,
    )  # fmt: skip
    while not any(line["path"].endswith("/b0") for line in provider.lines("requests")):
        assert child.poll() is None
    child.kill()
    child.communicate()
    done = here("batches", "--cancel", "--poll", "0.05")
    assert done.status == 1 and "1 answered, 4 failed" in done.stdout, done.stderr
    provider.plan()
    again = feedback(here, provider)
    assert (again.status, again.summary["ok"]) == (0, 6), again.stderr
    assert set(provider.paid().values()) == {1}


def kill_points(scheme: str) -> list[tuple[str, int, str]]:
    return [
        (scheme, number, when)
        for number in range(1, REQUESTS[scheme] + 1)
        for when in ("before", "after")
    ]


CREATES = [("openai", 4, "after"), ("anthropic", 3, "after"), ("together", 4, "after")]


@pytest.mark.parametrize(("scheme", "number", "when"), CREATES)
def test_a_kill_while_the_batch_is_created_pays_nothing_twice(
    tmp_path: Path, scheme: str, number: int, when: str
) -> None:
    check_kill(tmp_path, scheme, number, when)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_kill_at_any_request_pays_nothing_twice(tmp_path: Path, scheme: str) -> None:
    for place in kill_points(scheme):
        check_kill(tmp_path / f"{place[1]}-{place[2]}", *place)


def check_kill(folder: Path, scheme: str, number: int, when: str) -> None:
    """Kill a run at a request, give the command again, and count what was paid."""
    folder.mkdir(exist_ok=True)
    with BatchProvider(scheme, folder / "provider") as provider:
        provider.plan(kill=(number, when))
        run = Plaudit(folder / "home", env=KEYS)
        child = run.start(
            "judge", "feedback", FEEDBACK, "-e", provider.uri, "--readout", "json",
            "--limit", "6", "--json", *QUICK,
        )  # fmt: skip
        (folder / "pid").write_text(str(child.pid))
        (folder / "pid").rename(provider.folder / "pid")
        child.communicate(timeout=200)
        assert child.returncode == -signal.SIGKILL, (scheme, number, when)
        done = feedback(Here(folder / "home", env=KEYS), provider)
        assert (done.status, done.summary["ok"]) == (0, 6), (scheme, number, when, done.stderr)
        assert sum(provider.created) + len(provider.paid("live")) == 6, (scheme, number, when)
        assert set(provider.paid().values()) == {1}, (scheme, number, when)
