"""A stand-in for the `vllm` command: a real server in a real process, with a process of its own.

    standin_vllm.py serve MODEL --host 127.0.0.1 --port PORT [...]

What it does beyond answering is told by the environment: `STANDIN_FOLDER` is where it leaves a line
a start (pids, arguments, GPUs) and a line a request, `STANDIN_FAULT` what is wrong with it:

- `dies`, `dies-N`: prints lines, its key among them, and ends with status 7 (only the N-th does);
- `silent`: listens, and answers nothing;
- `loading`: /health answers 503 for ever;
- `taken`: the first to start finds its port taken;
- `stubborn`: ignores SIGTERM, as does its child, which leaves the process group;
- `open`: asks for no key;
- `crashes-N`: ends after N requests;
- `waits-N`: answers no request before N have started.
"""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

FOLDER = Path(os.environ["STANDIN_FOLDER"])
FAULT, _, NUMBER = os.environ.get("STANDIN_FAULT", "").partition("-")
DELAY = float(os.environ.get("STANDIN_DELAY", "0.01"))
REPLY = json.dumps({"rationale": "He says so.", "label": "neg_correction", "confidence": 0.9})


def note(name, **fields):
    """Append a line; short ones are written at once, so that processes do not mix them."""
    with open(FOLDER / name, "a") as file:
        file.write(json.dumps(fields) + "\n")


def first(name):
    """Tell whether nobody has claimed this name before."""
    try:
        (FOLDER / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def ordinal():
    return next(n for n in range(1, 100) if first(f"claimed-{n}"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    key = ""
    model = ""

    def do_GET(self):
        if FAULT == "silent":
            time.sleep(600)
        if self.path == "/health":
            self.answer(503 if FAULT == "loading" else 200, {})
        elif self.path == "/v1/models":
            self.guarded({"object": "list", "data": [{"id": self.model}]})
        else:
            self.answer(404, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions" or body["model"] != self.model:
            self.answer(404, {"error": {"message": f"no model {body['model']}"}})
            return
        note("requests", port=self.server.server_port)
        if FAULT == "crashes" and (FOLDER / "requests").read_text().count("\n") >= int(NUMBER):
            print("CUDA error: an illegal memory access was encountered", flush=True)
            os._exit(9)
        while FAULT == "waits" and (FOLDER / "starts").read_text().count("\n") < int(NUMBER):
            time.sleep(0.02)
        time.sleep(DELAY)
        choice = {"message": {"role": "assistant", "content": REPLY}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9}
        self.guarded({"choices": [choice], "usage": usage})

    def guarded(self, body):
        wanted = f"Bearer {self.key}"
        if FAULT != "open" and self.headers.get("Authorization") != wanted:
            self.answer(401, {"error": {"message": "Unauthorized"}})
        else:
            self.answer(200, body)

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    allow_reuse_address = True


def start_child():
    """Start a process as vLLM does; a stubborn one leaves the group and ignores SIGTERM."""
    code = "import time; time.sleep(600)"
    if FAULT == "stubborn":
        mark = f"open({str(FOLDER / 'ignoring')!r}, 'a').write('{{}}\\n'); "
        code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {mark}{code}"
        daemon = (
            "import subprocess, sys; "
            f"print(subprocess.Popen([sys.executable, '-c', {code!r}], start_new_session=True,"
            " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)"
        )  # whose parent ends at once
        done = subprocess.run([sys.executable, "-c", daemon], capture_output=True, check=True)
        return int(done.stdout)
    return subprocess.Popen([sys.executable, "-c", code]).pid


def main(arguments, key):
    port = int(arguments[arguments.index("--port") + 1])
    Handler.key = key
    Handler.model = arguments[
        arguments.index("--model-path") + 1 if "--model-path" in arguments else 1
    ]
    child = start_child()
    note(
        "starts",
        pids=[os.getpid(), child],
        port=port,
        arguments=arguments,
        key=key,
        gpus=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )
    print(f"\x1b[32mINFO\x1b[0m loading {Handler.model}", flush=True)
    if FAULT == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    note("ready")
    if FAULT == "dies" and NUMBER in ("", str(ordinal())):
        for number in range(40):
            print(f"line {number}")
        print(f"args: api_key={key}")
        print("RuntimeError: out of memory", flush=True)
        sys.exit(7)
    if FAULT == "taken" and first("taken"):
        taken = socket.create_server(("127.0.0.1", port))
        note("taken-by", port=taken.getsockname()[1])
    server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        time.sleep(0.1)  # A signal that another thread gets is handled here, and ends no sleep.


if __name__ == "__main__":
    main(sys.argv[1:], os.environ.get("VLLM_API_KEY", ""))
