"""Servers that are started for a run: real processes, started by the real command line."""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plaudit.engines.base import Request, Sampling
from plaudit.engines.launch import servers, watchdog
from plaudit.engines.launch.engine import LaunchedEngine
from plaudit.engines.launch.servers import divide, free_ports
from plaudit.engines.uri import EngineURI
from plaudit.errors import EngineUnusableError, UsageError
from plaudit.types import Message
from tests.support.command import Forked, Plaudit, write_rows
from tests.support.launching import StandIns, alive, until, until_gone, where_is

ROWS = [
    {"query": f"question {n}", "answer": "a", "follow_up": f"No, {n} is wrong."} for n in range(40)
]
ASK = Request(prompt=(Message("user", "hello"),), sampling=Sampling(max_tokens=8))
FEW_SECONDS = 100


@pytest.fixture
def standins(tmp_path: Path) -> StandIns:
    return StandIns(tmp_path / "standins")


@pytest.fixture
def here(standins: StandIns, monkeypatch) -> StandIns:
    """The stand-ins on the PATH of this very process."""
    for name, value in standins.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(standins.temporary))
    return standins


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "in.jsonl", ROWS)


class Launching:
    """`plaudit judge feedback --launch`, with stand-ins."""

    def __init__(self, standins: StandIns, home: Path, source: Path) -> None:
        self.standins, self.home, self.source = standins, home, source

    def plaudit(self, **env: str) -> Plaudit:
        return Forked(self.home, self.standins.env | env)

    def args(self, *args: object, engine: str = "vllm:some-model") -> list[str]:
        fixed = ["judge", "feedback", self.source, "-e", engine, "--readout", "json", "--json"]
        return [str(arg) for arg in (*fixed, *args)]

    def __call__(self, *args: object, engine: str = "vllm:some-model", **env: str):
        return self.plaudit(**env)(*self.args(*args, engine=engine), timeout=60)

    def start(self, *args: object, **env: str) -> "subprocess.Popen[str]":
        return self.plaudit(**env).start(*self.args(*args))


@pytest.fixture
def launching(standins: StandIns, tmp_path: Path, source: Path) -> Launching:
    return Launching(standins, tmp_path / "home", source)


# Use and end


def test_both_are_used_and_both_are_gone(launching: Launching, tmp_path: Path) -> None:
    done = launching("--launch", 2, "-o", tmp_path / "out.jsonl", "-v")
    assert (done.status, done.summary["ok"]) == (0, 40), done.stderr
    standins = launching.standins
    asked = standins.asked
    assert len(asked) == 2
    assert min(asked.values()) >= 5
    assert len(standins.pids) == 4
    assert alive(standins.pids) == []
    assert standins.left_behind == []
    for port in asked:
        assert f"http://127.0.0.1:{port}" in done.stderr
    assert "2 vllm servers ready" in done.stderr


def test_the_key_is_random_and_nowhere_to_be_found(launching: Launching, tmp_path: Path) -> None:
    log = tmp_path / "plaudit.log"
    for number in range(2):
        args = launching.args("--launch", 2, "-v", "--fresh", "-o", tmp_path / f"{number}.jsonl")
        done = launching.plaudit()("--log-file", log, *args)
        assert done.status == 0, done.stderr
        shown = done.stdout + done.stderr
        assert not any(key in shown for key in launching.standins.keys)
    keys = launching.standins.keys
    assert len(keys) == 2  # One a launch, and no two alike.
    for key in keys:
        assert len(key) > 40
        noted = launching.standins.folder / "starts"
        assert where_is(key, [tmp_path]) == [noted]  # where the stand-in itself wrote it
    assert not any(k in str(s["arguments"]) for k in keys for s in launching.standins.starts)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_none_is_left_after_an_interrupt(launching: Launching, number: int) -> None:
    running = launching.start("--launch", 2, "--concurrency", 1, STANDIN_DELAY="0.3")
    launching.standins.wait_for("requests", 3)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert len(alive(launching.standins.pids)) == 4
    running.send_signal(number)
    _, stderr = running.communicate(timeout=FEW_SECONDS)
    assert running.returncode == 130, stderr
    assert alive(launching.standins.pids) == []
    assert launching.standins.left_behind == []
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_none_is_left_after_an_interrupt_of_the_start(launching: Launching) -> None:
    running = launching.start("--launch", 2, STANDIN_FAULT="loading")
    launching.standins.wait_for("ready", 2)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=FEW_SECONDS)
    assert running.returncode == 130, stderr
    assert alive(launching.standins.pids) == []
    assert launching.standins.left_behind == []


@pytest.mark.parametrize("fault", ["", "loading"])
def test_none_is_left_when_plaudit_is_killed(launching: Launching, fault: str) -> None:
    running = launching.start("--launch", 2, "--concurrency", 1, STANDIN_FAULT=fault)
    if fault:
        launching.standins.wait_for("starts", 2)
    else:
        launching.standins.wait_for("requests", 3)
    assert len(alive(launching.standins.pids)) == 4
    running.kill()
    running.communicate(timeout=FEW_SECONDS)
    until_gone(launching.standins.pids)


def test_a_run_killed_and_given_again_goes_on(launching: Launching, tmp_path: Path) -> None:
    running = launching.start("--launch", 1, "--concurrency", 1, STANDIN_DELAY="0.1")
    launching.standins.wait_for("requests", 8)
    running.kill()
    running.communicate(timeout=FEW_SECONDS)
    done = launching("--launch", 2, "--concurrency", 1, "-o", tmp_path / "out.jsonl")
    assert (done.status, done.summary["ok"]) == (0, 40), done.stderr
    assert done.summary["engine_calls"] < 40


def test_nothing_is_started_for_what_the_store_answers(launching: Launching) -> None:
    assert launching("--launch", 2).status == 0
    again = launching("--launch", 2)
    assert (again.status, again.summary["cached"]) == (0, 40)
    assert len(launching.standins.starts) == 2


def test_nothing_is_started_by_a_dry_run(launching: Launching) -> None:
    assert launching("--launch", 2, "--dry-run").status == 0
    assert launching.standins.starts == []


def test_they_are_reached_past_a_proxy(launching: Launching) -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    done = launching("--launch", 1, http_proxy=nowhere, no_proxy="")
    assert done.status == 0, done.stderr


# What goes wrong


def test_one_that_dies_at_its_start_is_told_with_its_last_words(launching: Launching) -> None:
    done = launching("--launch", 2, STANDIN_FAULT="dies-2")
    assert done.status == 3
    said = done.stderr.splitlines()
    assert "of 2 ended while it started, with exit status 7" in done.stderr
    assert "  RuntimeError: out of memory" in said
    assert "  line 39" in said
    assert "  line 1" not in said
    assert alive(launching.standins.pids) == []
    (key,) = launching.standins.keys
    assert key not in done.stderr
    assert "  args: api_key=[key]" in said
    kept = launching.standins.left_behind
    assert any(str(path) in done.stderr for path in kept)
    assert where_is(key, [launching.standins.temporary]) == []


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("loading", "/health answers 503"),
        pytest.param("silent", "it does not answer", marks=pytest.mark.full),
        ("open", "answers 200 to a request without its key"),
    ],
)
def test_one_that_never_gets_ready_is_given_up(launching: Launching, fault: str, why: str) -> None:
    done = launching("--launch", 2, "--launch-timeout", 2, STANDIN_FAULT=fault)
    assert done.status == 3
    assert "was not ready within 2 s" in done.stderr
    assert why in done.stderr
    assert "  INFO loading some-model" in done.stderr.splitlines()  # without its colours
    assert "waiting for 2 vllm servers: 0 ready" in done.stderr
    assert alive(launching.standins.pids) == []
    assert launching.standins.asked == {}


def test_a_port_that_was_taken_in_between_is_changed(launching: Launching) -> None:
    done = launching("--launch", 2, STANDIN_FAULT="taken")
    assert (done.status, done.summary["ok"]) == (0, 40), done.stderr
    standins = launching.standins
    (taken,) = (noted["port"] for noted in standins.noted("taken-by"))
    assert len(standins.starts) == 3
    assert taken not in standins.asked
    assert len(standins.asked) == 2
    assert alive(standins.pids) == []


def test_a_run_goes_on_without_a_server_that_dies(launching: Launching) -> None:
    running = launching.start("--launch", 2, "--concurrency", 2, STANDIN_DELAY="0.1")
    launching.standins.wait_for("requests", 6)
    os.kill(launching.standins.starts[0]["pids"][0], signal.SIGKILL)
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 0, stderr
    assert '"ok":40' in stdout
    assert "of 2 ended with exit status 137" in stderr
    assert launching.standins.left_behind  # the log was named
    assert alive(launching.standins.pids) == []


def test_a_run_ends_at_once_when_no_server_is_left(launching: Launching) -> None:
    done = launching("--launch", 1, "--concurrency", 2, STANDIN_FAULT="crashes-5")
    assert done.status == 3
    assert "ended with exit status 9" in done.stderr
    assert "  CUDA error: an illegal memory access was encountered" in done.stderr
    assert alive(launching.standins.pids) == []


def test_a_command_that_is_not_there(launching: Launching, tmp_path: Path) -> None:
    done = launching("--launch", 1, PATH=str(tmp_path))
    assert done.status == 2
    assert "vllm is not installed: there is no command `vllm` on PATH" in done.stderr
    done = launching("--launch", 1, engine="sglang:m", PATH=str(tmp_path), PYTHONPATH="")
    assert done.status == 2
    assert "sglang is not installed" in done.stderr


@pytest.mark.parametrize(
    ("engine", "args", "reported"),
    [
        ("vllm:", ["--launch", "2"], "needs a model"),
        ("vllm:--help", ["--launch", "2"], "needs a model"),
        ("vllm:m@http://127.0.0.1:8000/v1", ["--launch", "2"], "leave out --launch"),
        ("local", ["--launch", "2"], "and no local:"),
        ("vllm:m", ["--launch", "1", "--launch-arg", "--api-key=x"], "--api-key"),
        ("vllm:m", ["--launch", "1", "--launch-arg", "--host 0.0.0.0"], "--host"),
        ("sglang:m", ["--launch", "1", "--launch-arg", "--config a.yaml"], "--config"),
        ("vllm:m", ["--launch", "1", "--launch-arg", "'"], "No closing quotation"),
        ("vllm:m", ["--gpus-per-worker", "1"], "go with --launch"),
        ("vllm:m?speed=9", ["--launch", "1"], "no option 'speed'"),
    ],
)
def test_what_cannot_be_started_is_refused(
    launching: Launching, engine: str, args: list[str], reported: str
) -> None:
    done = launching(*args, engine=engine)
    assert done.status == 2, done.stderr
    assert reported in done.stderr
    assert launching.standins.starts == []


# What they are started with


def test_the_command_of_vllm(launching: Launching) -> None:
    done = launching(
        "--launch", 2, "--gpus-per-worker", 2, "--launch-arg", "--max-model-len 4096",
        "--launch-arg", "--chat-template 'a b.jinja'",
        engine="vllm:some-model?revision=abc", CUDA_VISIBLE_DEVICES="0,3,GPU-5e,7,9",
    )  # fmt: skip
    assert done.status == 0, done.stderr
    starts = launching.standins.starts
    assert {start["gpus"] for start in starts} == {"0,3", "GPU-5e,7"}
    for start in starts:
        assert start["arguments"] == [
            "serve", "some-model", "--host", "127.0.0.1", "--port", str(start["port"]),
            "--tensor-parallel-size", "2", "--revision", "abc",
            "--max-model-len", "4096", "--chat-template", "a b.jinja",
        ]  # fmt: skip


def test_the_command_of_sglang(launching: Launching) -> None:
    done = launching(
        "--launch", 2, "--gpus-per-worker", 1, engine="sglang:some-model",
        CUDA_VISIBLE_DEVICES="4,5", STANDIN_DELAY="0.01",
    )  # fmt: skip
    assert (done.status, done.summary["ok"]) == (0, 40), done.stderr
    starts = launching.standins.starts
    assert {start["gpus"] for start in starts} == {"4", "5"}
    for start in starts:
        config, rest = start["arguments"][:2], start["arguments"][2:]
        assert config[0] == "--config"
        assert not Path(config[1]).exists()
        assert rest == [
            "--model-path", "some-model", "--host", "127.0.0.1", "--port", str(start["port"]),
            "--tp-size", "1",
        ]  # fmt: skip
    assert alive(launching.standins.pids) == []


def test_a_key_that_a_server_prints_is_not_kept(launching: Launching) -> None:
    done = launching("--launch", 1, engine="sglang:some-model", STANDIN_FAULT="dies")
    assert done.status == 3
    (key,) = launching.standins.keys
    assert "api_key='[key]'" in "".join(p.read_text() for p in launching.standins.left_behind)
    assert where_is(key, [launching.standins.temporary, launching.home]) == []
    assert key not in done.stderr


def test_too_few_gpus_are_told(launching: Launching) -> None:
    done = launching("--launch", 2, "--gpus-per-worker", 3, CUDA_VISIBLE_DEVICES="0,1,2,3")
    assert done.status == 2
    assert "2 x 3 = 6 GPUs are needed and 4 visible" in " ".join(done.stderr.split())
    assert launching.standins.starts == []
    assert launching.standins.left_behind == []


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("0,1", ["0", "1"]),
        (" 2, GPU-8f ,MIG-1", ["2", "GPU-8f", "MIG-1"]),
        ("", []),
        ("-1", []),
        ("0,-1,2", ["0"]),
    ],
)
def test_the_gpus_that_a_variable_names(monkeypatch, named: str, found: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert servers.visible_gpus() == found


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (
            "echo 'GPU 0: H100 (UUID: G-1)'; echo '  MIG 1g.10gb Device 0'; echo 'GPU 1: H100'",
            2,
        ),
        ("echo 'NVIDIA-SMI has failed'; exit 9", 0),
        ("exit 0", 0),
    ],
)
def test_the_gpus_that_nvidia_smi_lists(
    monkeypatch, tmp_path: Path, script: str, found: int
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    assert servers.visible_gpus() == [str(number) for number in range(found)]


def test_no_gpus_where_nothing_tells_of_any(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert servers.visible_gpus() == []


@pytest.mark.parametrize(
    ("there", "servers", "each", "parts"),
    [
        ("0123", 2, None, ["0", "1"]),
        ("0123", 2, 2, ["01", "23"]),
        ("0123", 1, 4, ["0123"]),
        ("", 3, None, ["", "", ""]),
    ],
)
def test_how_gpus_are_divided(there: str, servers: int, each: int | None, parts: list[str]) -> None:
    assert divide(list(there), servers, each) == [tuple(part) for part in parts]


@pytest.mark.parametrize(("there", "servers", "each"), [("0", 2, None), ("", 1, 1), ("012", 2, 2)])
def test_gpus_are_not_shared(there: str, servers: int, each: int | None) -> None:
    with pytest.raises(UsageError, match="GPUs are needed"):
        divide(list(there), servers, each)


# The engine


def engine(**options) -> LaunchedEngine:
    return LaunchedEngine(EngineURI.parse("vllm:some-model"), 2, **options)


async def test_it_is_an_endpoint_like_any_other_and_contacts_nothing(here: StandIns) -> None:
    launched = engine()
    assert await launched.identify() == "vllm:some-model"
    assert launched.uri == "vllm:some-model"
    assert launched.capabilities.logprobs > 0
    info = launched.info
    assert (info.replicas, info.replica_count, info.reasoning) == ((), 2, False)
    await launched.close()
    assert here.starts == []


async def test_it_can_be_closed_and_opened_again(here: StandIns) -> None:
    launched = engine()
    for _ in range(2):
        await launched.open()
        await launched.open()
        assert len(launched.info.replicas) == 2
        assert "neg_correction" in (await launched.complete(ASK)).text
        assert len(alive(here.pids)) == 4
        await launched.close()
        assert launched.info.replicas == ()
        assert alive(here.pids) == []
    assert len(here.starts) == 4


async def test_closing_it_ends_a_start_under_way(here: StandIns, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "loading")
    launched = engine()
    opening = asyncio.create_task(launched.open())
    while len(here.starts) < 2:
        await asyncio.sleep(0.05)
    await launched.close()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert alive(here.pids) == []


async def test_a_start_that_failed_can_be_tried_again(here: StandIns, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "dies")
    launched = engine()
    with pytest.raises(EngineUnusableError, match="exit status 7"):
        await launched.open()
    monkeypatch.delenv("STANDIN_FAULT")
    await launched.open()
    await launched.close()
    assert alive(here.pids) == []


def test_two_event_loops_share_the_servers(here: StandIns) -> None:
    launched = engine()
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        for loop in (first, second):
            loop.run_until_complete(launched.open())
            loop.run_until_complete(launched.complete(ASK))
        first.run_until_complete(launched.close())
        assert len(alive(here.pids)) == 4
        second.run_until_complete(launched.complete(ASK))
        second.run_until_complete(launched.close())
        assert alive(here.pids) == []
    finally:
        first.close()
        second.close()


async def test_pickled_it_is_an_engine_of_its_own(here: StandIns) -> None:
    launched = engine(arguments=["--served-as 'a b'"], timeout=33)
    await launched.open()
    (key,) = here.keys
    data = pickle.dumps(launched)
    assert key.encode() not in data
    copy = pickle.loads(data)
    assert (copy.uri, copy.info.replica_count, copy.info.replicas) == (launched.uri, 2, ())
    await copy.close()
    assert len(alive(here.pids)) == 4
    await launched.close()
    with pytest.raises(TypeError):
        await launched.open()
        try:
            pickle.dumps(launched.info.replicas[0])
        finally:
            await launched.close()


IN_A_CHILD = """
import asyncio, os, sys
from plaudit.engines.uri import EngineURI
from plaudit.engines.launch.engine import LaunchedEngine
from tests.engines.launch.test_engine import ASK

engine = LaunchedEngine(EngineURI.parse("vllm:some-model"), 1)

async def use():
    await engine.open()
    await engine.complete(ASK)

asyncio.run(use())
child = os.fork()
if child == 0:
    asyncio.run(use())
    asyncio.run(engine.close())
    if sys.argv[1] == "stay":
        import time
        time.sleep(60)
    sys.exit(5)
if sys.argv[1] == "stay":
    print(child, flush=True)
    os.kill(os.getpid(), 9)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
asyncio.run(use())
"""


def test_a_forked_child_uses_the_servers_and_leaves_them_alone(here: StandIns) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CHILD, "wait"], timeout=60, check=False,
        env=os.environ | {"PYTHONPATH": f".:{here.env['PYTHONPATH']}"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(here.starts) == 1
    assert here.asked[here.starts[0]["port"]] == 3
    assert alive(here.pids) == []  # although nobody closed the engine


def test_a_forked_child_does_not_keep_them_alive(here: StandIns, tmp_path: Path) -> None:
    with open(tmp_path / "out", "w") as out:
        done = subprocess.run(
            [sys.executable, "-c", IN_A_CHILD, "stay"], timeout=60, check=False,
            env=os.environ | {"PYTHONPATH": f".:{here.env['PYTHONPATH']}"},
            stdout=out, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    assert done.returncode == -9
    child = int((tmp_path / "out").read_text())
    until_gone(here.pids)
    assert alive([child]) == [child]
    os.kill(child, signal.SIGKILL)


# The watchdog


def watch(here: StandIns, *command: str, grace: float = 0.5) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", watchdog.__file__, str(grace), *command],
        stdin=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def serve(here: StandIns, awaited: str = "ready", **options: float) -> "subprocess.Popen[bytes]":
    watching = watch(here, "vllm", "serve", "m", "--port", str(free_ports(1)[0]), **options)
    here.wait_for(awaited, 1)
    return watching


def end(watching: "subprocess.Popen[bytes]") -> int:
    assert watching.stdin is not None
    watching.stdin.close()
    return watching.wait(FEW_SECONDS)


def test_a_watchdog_ends_what_ignores_it_and_what_left_the_group(
    here: StandIns, monkeypatch
) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "stubborn")
    watching = serve(here)
    here.wait_for("ignoring", 1)
    assert len(alive(here.pids)) == 2
    started = time.monotonic()
    assert end(watching) == 128 + signal.SIGKILL
    assert alive(here.pids) == []
    assert time.monotonic() - started >= 0.5


def test_a_watchdog_gives_time_to_end_in_order(here: StandIns) -> None:
    watching = serve(here, grace=60)
    until(lambda: len(alive(here.pids)) == 2, FEW_SECONDS, "server")
    assert end(watching) == 0  # what the stand-in ends with when it is asked to
    assert alive(here.pids) == []


def test_a_watchdog_ends_what_a_server_that_ended_has_left(here: StandIns, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "dies")
    watching = serve(here, "starts")
    assert watching.wait(FEW_SECONDS) == 7
    assert alive(here.pids) == []
    end(watching)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_watchdog_that_is_ended_takes_the_server_along(here: StandIns, number: int) -> None:
    watching = serve(here)
    watching.send_signal(number)
    watching.wait(FEW_SECONDS)
    server, child = here.starts[0]["pids"]
    until_gone([server])
    if number != signal.SIGKILL:
        assert alive([child]) == []
    elif alive([child]):
        os.kill(child, signal.SIGKILL)  # a killed watchdog can end the server alone
    end(watching)


def test_a_watchdog_says_what_it_cannot_start(here: StandIns, capfd) -> None:
    watching = watch(here, "/no/such/command")
    assert watching.wait(FEW_SECONDS) == 127
    end(watching)
    said = "/no/such/command cannot be started: No such file or directory\n"
    assert capfd.readouterr().err == said


def test_free_ports_are_free_and_differ() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
