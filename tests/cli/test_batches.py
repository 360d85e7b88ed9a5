"""`--batch` and `plaudit batches`, against a stand-in process of each provider."""

import json
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.batch_provider import (
    FEEDBACK,
    KEY,
    KEYS,
    QUICK,
    SCHEMES,
    BatchProvider,
    arguments,
    feedback,
)
from tests.support.command import EXAMPLES, Here, Plaudit
from tests.support.waiting import wait_until

PAIRS = EXAMPLES / "pairwise.jsonl"
LEDGER = "store.batches.sqlite"


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, BatchProvider]]:
    started: dict[str, BatchProvider] = {}
    try:
        for scheme in SCHEMES:
            started[scheme] = BatchProvider(scheme, tmp_path_factory.mktemp(scheme)).__enter__()
        yield started
    finally:
        for one in started.values():
            one.__exit__()


def fresh(provider: BatchProvider) -> BatchProvider:
    provider.reset()
    return provider


@pytest.fixture(params=SCHEMES)
def each(request: pytest.FixtureRequest, providers: dict[str, BatchProvider]) -> BatchProvider:
    return fresh(providers[request.param])


SLOW = [pytest.param(one, marks=pytest.mark.full) for one in SCHEMES[1:]]


@pytest.fixture(params=[SCHEMES[0], *SLOW])
def provider(request: pytest.FixtureRequest, providers: dict[str, BatchProvider]) -> BatchProvider:
    """All providers in the full suite, one of them in the fast one."""
    return fresh(providers[request.param])


@pytest.fixture
def openai(providers: dict[str, BatchProvider]) -> BatchProvider:
    return fresh(providers["openai"])


@pytest.fixture
def anthropic(providers: dict[str, BatchProvider]) -> BatchProvider:
    return fresh(providers["anthropic"])


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home", env=KEYS)


def listed(run: Plaudit, *more: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("batches", "--json", *more).stdout.splitlines()]


def test_rows_are_answered_by_a_batch_and_paid_once(each: BatchProvider, plaudit: Plaudit) -> None:
    each.plan(reverse=True, twice=True, looks=2)
    done = feedback(plaudit, each)
    assert done.status == 0, done.stderr
    assert done.summary["ok"] == done.summary["samples"] == 6
    assert done.summary["batch"]["batches"] == 1
    assert done.summary["batch"]["answered"] == 5  # One request was asked live, as a trial.
    assert done.summary["input_tokens"] == 600 and done.summary["engine_calls"] == 6
    assert done.summary["cached"] == 0
    assert each.created == [5] and set(each.paid().values()) == {1}
    assert len(each.paid("live")) == 1
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
    rest = "bad_response" if provider.scheme == "anthropic" else "expired"
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
    assert re.search(r"at most about \$0\.\d+ in batches; \$0\.\d+ live", done.stderr), done.stderr
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


# What must not be lost, and what must not be said


@pytest.mark.parametrize("command", [("batches",), ("judge",)])
@pytest.mark.parametrize("harm", ["torn", "no ledger", "another program", "later"])
def test_a_ledger_that_cannot_be_read_stops_before_anything_is_sent(
    openai: BatchProvider, plaudit: Plaudit, harm: str, command: tuple[str]
) -> None:
    plaudit.home.mkdir()
    path = plaudit.home / LEDGER
    if harm == "no ledger":
        path.write_bytes(b"no database at all, " * 300)
    elif harm == "another program":
        with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
            foreign.execute("CREATE TABLE song (name TEXT)")
    else:
        feedback(plaudit, openai)
        openai.reset()
        if harm == "torn":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            with closing(sqlite3.connect(path, isolation_level=None)) as later:
                later.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    done = plaudit(*(command if command == ("batches",) else arguments(openai, rows=8)))
    said = {"another program": "another program", "later": "later plaudit"}.get(harm, "is damaged")
    assert done.status == 2 and said in done.stderr and str(path) in done.stderr, done.stderr
    assert openai.steps().count("upload") == openai.steps().count("create") == 0
    assert path.read_bytes() == before


def test_a_key_that_the_provider_repeats_is_in_no_file_and_no_message(
    provider: BatchProvider, plaudit: Plaudit
) -> None:
    provider.plan(errored=2, said=f"the key {KEY} is fine, the row is not")
    done = feedback(plaudit, provider)
    assert done.summary["failed"] == 2, done.stderr
    shown = plaudit("batches", "--json")
    assert KEY not in done.stderr + done.stdout + shown.stdout + shown.stderr
    for file in plaudit.home.rglob("*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes(), file


def test_a_batch_that_the_provider_lost_is_asked_again_on_demand_alone(
    openai: BatchProvider, plaudit: Plaudit
) -> None:
    openai.plan(gone=True)
    for _ in range(2):
        done = feedback(plaudit, openai, "--outage", "0.1")
        assert (done.status, openai.created) == (3, [5]), done.stderr
        assert "plaudit batches 1 --forget" in done.stderr
    openai.plan()
    assert plaudit("batches", "--forget").status == 2
    forgotten = plaudit("batches", "1", "--forget")
    assert forgotten.status == 0 and "batch 1 dropped" in forgotten.stdout, forgotten.stderr
    assert feedback(plaudit, openai).summary["ok"] == 6
    assert sum(openai.created) == 9


def test_a_batch_is_looked_for_where_it_was_sent(
    openai: BatchProvider, providers: dict[str, BatchProvider], tmp_path: Path
) -> None:
    openai.plan(gone=True)
    here = Here(tmp_path / "home", env=KEYS | {"OPENAI_BASE_URL": openai.uri.partition("@")[2]})
    ask = ("judge", "feedback", FEEDBACK, "-e", "openai:m", "--readout", "json", "--limit", "6")
    assert here(*ask, *QUICK, "--outage", "0.1").status == 3
    openai.plan()
    other = providers["mistral"].uri.partition("@")[2]
    elsewhere = Here(tmp_path / "home", env=KEYS | {"OPENAI_BASE_URL": other})
    done = elsewhere("batches", "--follow")
    assert done.status == 2 and "was sent to" in done.stderr, done.stderr
    assert here("batches", "--follow", "--poll", "0.05").status == 0


def test_a_provider_that_creates_nothing_ends_the_run(
    openai: BatchProvider, plaudit: Plaudit
) -> None:
    openai.plan(broken=100)
    done = feedback(plaudit, openai)
    assert done.status == 3 and "3 batches in a row were never created" in done.stderr
    openai.plan()
    assert feedback(plaudit, openai).summary["ok"] == 6
    assert set(openai.paid().values()) == {1}


@pytest.mark.full
def test_two_commands_at_once_pay_once(openai: BatchProvider, tmp_path: Path) -> None:
    openai.plan(looks=3)
    run = Plaudit(tmp_path / "home", env=KEYS)
    both = [run.start(*arguments(openai)) for _ in range(2)]
    ends = [one.communicate(timeout=100) for one in both]
    assert [one.returncode for one in both] == [0, 0], ends
    assert set(openai.paid().values()) == {1}


# Stopped, and come back


def start(run: Plaudit, provider: BatchProvider) -> "subprocess.Popen[str]":
    """Start a run whose batch never ends, and return when it waits for it."""
    provider.plan(looks=10_000)
    child = run.start(*arguments(provider))
    wait_until(lambda: "look" in provider.steps() or child.poll() is not None)
    return child


def test_ctrl_c_leaves_the_batch_and_says_how_to_come_back(
    provider: BatchProvider, tmp_path: Path
) -> None:
    child = start(Plaudit(tmp_path / "home", env=KEYS), provider)
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
    here = Here(tmp_path / "home", env=KEYS)
    child = start(Plaudit(tmp_path / "home", env=KEYS), provider)
    child.kill()
    child.communicate()
    done = here("batches", "--cancel", "--poll", "0.05")
    assert done.status == 1 and "1 answered, 4 failed" in done.stdout, done.stderr
    provider.plan()
    again = feedback(here, provider)
    assert (again.status, again.summary["ok"]) == (0, 6), again.stderr
    assert set(provider.paid().values()) == {1}
