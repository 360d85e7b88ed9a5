"""Judged samples a second against a static nginx, beside a bare aiohttp loop on the same requests.

    scripts/bench throughput [--samples 50000] [--cached 100000] [--memory 1000000] [--json]

nginx (from the system's packages) answers every request with the same bytes. The client has one
core, 100 requests in flight and its store on; nginx has another core where there is one. Samples
are distinct, of 1.5 KB; json replies have 300 characters, logprob replies 20 log-probabilities.

- plaudit: `plaudit judge feedback` as a process, from its start to its output written;
- bare: aiohttp and orjson, which send the same requests and parse the replies; its start and
  imports are left out. Once on asyncio's own event loop and once on uvloop, which plaudit uses;
  `ratio` is against the first, `ratio_uvloop` against the second;
- cached: the same command again on more samples, answered from the store, on all cores;
- memory: peak resident memory for 10,000 samples and for many more.

Rounds alternate, and medians are given, since shared machines are noisy. `cpu_ratio` compares the
CPU time of whole processes, which other work on the machine disturbs less. The last line is JSON.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from judge import ROOT, judge, write_rows
from static_server import completion

from plaudit._util.loops import run_sync
from plaudit.engines.load import load_engine
from plaudit.judges.load import bind, make_config

READOUTS = ("json", "logprob")
RESULTS = ROOT / "benchmarks" / "results" / "throughput.json"
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  client_max_body_size 64m;
  client_body_buffer_size 128k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location = /v1/models {{ return 200 '{{"object": "list", "data": [{{"id": "static"}}]}}'; }}
    location / {{ return 200 '{reply}'; }}
  }}
}}
"""


def on_core(core: int) -> list[str]:
    """Return the command that binds what follows it to one core."""
    return ["taskset", "-c", str(core % (os.cpu_count() or 1))]


@contextlib.contextmanager
def nginx(folder: Path, kind: str) -> Iterator[str]:
    """Serve static replies; yield the base URL."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise SystemExit("nginx is not installed; on Debian: apt-get install nginx-light")
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reply = completion(kind).decode().replace("\\", "\\\\")
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, reply=reply))
    command = [*on_core(1), program, "-p", str(folder), "-c", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(100):
        if process.poll() is not None:
            raise SystemExit("nginx ended at once; see its error log")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit("nginx does not answer")


def write_requests(folder: Path, engine: str, kind: str, rows: Path) -> tuple[Path, Path, int]:
    """Write what plaudit would send: the body without the last content, and those contents."""
    config = make_config("feedback", {"readout": kind, "prior": "none"})
    task = run_sync(bind(config, load_engine(engine)))
    prompts = folder / f"prompts-{kind}.jsonl"
    with rows.open("rb") as lines, prompts.open("wb") as out:
        for line in lines:
            request = task.render(task.read_row(json.loads(line), 0)[0])
            out.write(msgspec.json.encode(request.prompt[-1].content) + b"\n")
    body: dict[str, Any] = {
        "model": "static",
        "messages": [*request.prompt[:-1], {"role": "user"}],
        "max_tokens": request.sampling.max_tokens,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
    }
    if request.schema:
        shape = {"name": "v", "schema": request.schema.body, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": shape}
    else:
        body |= {"logprobs": True, "top_logprobs": 20}
    path = folder / f"body-{kind}.json"
    path.write_bytes(msgspec.json.encode(body))
    return path, prompts, path.stat().st_size + prompts.stat().st_size // max(1, _lines(prompts))


def _lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def bare(url: str, body: Path, prompts: Path, *options: str) -> tuple[float, float]:
    """Return the requests a second of the bare loop, and the CPU time of a request in us."""
    before = _cpu_seconds()
    script = str(ROOT / "benchmarks" / "bare_loop.py")
    command = [*on_core(0), sys.executable, script, f"{url}/chat/completions", str(body)]
    done = subprocess.run(
        [*command, str(prompts), *options], stdout=subprocess.PIPE, text=True, check=True
    )
    answered, seconds = done.stdout.split()
    cpu_us = (_cpu_seconds() - before) / int(answered) * 1e6
    return int(answered) / float(seconds), cpu_us


def _cpu_seconds() -> float:
    """Return the CPU time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(folder: Path, kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one readout."""
    rows = write_rows(folder / "rows.jsonl", options.samples, 1500)
    home = folder / kind
    with nginx(folder / f"nginx-{kind}", kind) as url:
        engine = f"openai:static@{url}?logprobs=20"
        body, prompts, size = write_requests(folder, engine, kind, rows)
        args = ("--engine", engine, "--readout", kind, "--prior", "none", "--gate", "0")
        rounds: list[dict[str, float]] = []
        for _ in range(options.rounds):
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            slow, bare_cpu_us = bare(url, body, prompts)
            done = judge(home, str(rows), *args, prefix=on_core(0))
            fast, _ = bare(url, body, prompts, "--uvloop")
            rounds.append(
                {
                    "plaudit": done["samples_a_second"],
                    "cpu_us": done["cpu_us_a_sample"],
                    "bare_cpu_us": round(bare_cpu_us, 1),
                    "cpu_ratio": round(bare_cpu_us / done["cpu_us_a_sample"], 3),
                    "bare": round(slow, 1),
                    "bare_uvloop": round(fast, 1),
                    "ratio": round(done["samples_a_second"] / slow, 3),
                    "ratio_uvloop": round(done["samples_a_second"] / fast, 3),
                }
            )
            print(kind, rounds[-1], file=sys.stderr)
        found: dict[str, Any] = {
            name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]
        }
        found["bytes_a_request"] = size
        if options.cached:
            more = write_rows(folder / "more.jsonl", options.cached, 1500)
            shutil.rmtree(home)
            home.mkdir()
            judge(home, str(more), *args)
            again = [judge(home, str(more), *args) for _ in range(3)]
            assert not any(one["engine_calls"] for one in again)
            found["cached"] = statistics.median(one["samples_a_second"] for one in again)
            print(kind, "cached", found["cached"], file=sys.stderr)
        if options.memory:
            found["memory_mb"] = memory(folder, args, options.memory)
    return found


def memory(folder: Path, args: tuple[str, ...], count: int) -> dict[str, float]:
    """Return the peak memory for 10,000 samples and for `count`."""
    found: dict[str, float] = {}
    for samples in (10_000, count):
        home = folder / f"memory-{samples}"
        home.mkdir()
        source = write_rows(home / "rows.jsonl", samples, 300)
        found[str(samples)] = judge(home, str(source), *args)["peak_mb"]
        shutil.rmtree(home)
    return found


def main() -> None:
    """Run what was asked for; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--cached", type=int, default=100_000, help="samples; 0 leaves it out")
    parser.add_argument("--memory", type=int, default=0, help="samples; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--readout", choices=READOUTS, help="only this one")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in [options.readout] if options.readout else READOUTS:
            folder = Path(name) / f"of-{kind}"
            folder.mkdir()
            found[kind] = measure(folder, kind, options)
            options.memory = 0  # Once is enough.
    report = {
        "ratio": {kind: done["ratio"] for kind, done in found.items()},
        "ratio_uvloop": {kind: done["ratio_uvloop"] for kind, done in found.items()},
        "cpu_ratio": {kind: done["cpu_ratio"] for kind, done in found.items()},
        **found,
        "machine": machine(),
    }
    if not options.json:
        for kind, done in found.items():
            print(f"{kind}: {done['plaudit']:.0f} judged samples/s, bare loop {done['bare']:.0f}/s")
    print(json.dumps(report))
    if options.write:
        RESULTS.write_text(json.dumps(report, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """Describe where this ran."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_at_end": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    main()
