"""A provider with a batch API, as a process: `python standin_batches.py SCHEME FOLDER`.

It answers live requests and batches alike. FOLDER/plan.json says how it behaves and is read anew
for each request; FOLDER/paid has a line for each row that was answered; FOLDER/requests one for
each HTTP request. With `kill: [STEP, "before" | "after"]` it kills the process whose id is in
FOLDER/pid when the first request of that step comes: before it is done, or when it is done but not
answered. `POST /reset` forgets everything.
"""

import hashlib
import http.server
import json
import os
import re
import signal
import sys
import threading
import time
from email import message_from_bytes
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SCHEME, FOLDER = sys.argv[1], Path(sys.argv[2])
REPLY = json.dumps({"rationale": "He says so.", "label": "neg_correction", "confidence": 0.9})
USAGE = (100, 20)
FILES = {}
BATCHES = {}
LOCK = threading.Lock()
COUNT = {"creates": 0}


def plan():
    path = FOLDER / "plan.json"
    return json.loads(path.read_text()) if path.exists() else {}


def note(name, **fields):
    with open(FOLDER / name, "a") as file:
        file.write(json.dumps(fields) + "\n")


def prompt_of(body):
    return body.get("messages") or body.get("contents")


def paid(how, key, body):
    digest = hashlib.sha256(json.dumps(prompt_of(body)).encode()).hexdigest()[:16]
    note("paid", how=how, key=key, prompt=digest)


def text_for(body):
    said = json.dumps(prompt_of(body))
    for marker, text in plan().get("replies", []):
        if marker in said:
            return text
    return plan().get("reply", REPLY)


def reply_to(body):
    """The body of a good reply, in the form of the provider's own endpoint."""
    text, (sent, written) = text_for(body), USAGE
    if SCHEME == "anthropic":
        blocks = [{"type": "text", "text": text}]
        if body.get("tools"):
            blocks = [{"type": "tool_use", "id": "t", "name": "x", "input": json.loads(text)}]
        usage = {"input_tokens": sent, "output_tokens": written}
        return {"type": "message", "content": blocks, "stop_reason": "end_turn", "usage": usage}
    if "contents" in body:
        parts = [{"text": "hm", "thought": True}, {"text": text}]
        usage = {"promptTokenCount": sent, "candidatesTokenCount": written}
        candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP"}
        return {"candidates": [candidate], "usageMetadata": usage}
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": sent, "completion_tokens": written}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}


# Rows and their results, in the provider's forms


def read_row(line):
    row = json.loads(line)
    key = row.get("custom_id") or row["key"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key), key
    if SCHEME == "openai":
        assert row["method"] == "POST" and row["url"] == "/v1/chat/completions", row
    if SCHEME == "mistral":
        assert "model" not in row["body"], row
    return key, row.get("body") or row.get("params") or row["request"]


def good(key, body):
    reply = reply_to(body)
    if SCHEME == "anthropic":
        return {"custom_id": key, "result": {"type": "succeeded", "message": reply}}
    if SCHEME == "gemini":
        return {"key": key, "response": reply}
    return {"custom_id": key, "response": {"status_code": 200, "body": reply}, "error": None}


def bad(key, kind):
    said = plan().get("said", "no")
    if SCHEME == "anthropic":
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": said}}
        result = {"type": kind} | ({"error": error} if kind == "errored" else {})
        return {"custom_id": key, "result": result}
    if SCHEME == "gemini":
        return {"key": key, "error": {"code": 3, "message": said, "status": "INVALID_ARGUMENT"}}
    if kind == "errored":
        response = {"status_code": 400, "body": {"error": {"message": said}}}
        return {"custom_id": key, "response": response, "error": None}
    code = {"expired": "batch_expired", "canceled": "batch_cancelled"}[kind]
    return {"custom_id": key, "response": None, "error": {"code": code, "message": "too late"}}


class Batch:
    def __init__(self, rows, name, tag, file):
        self.rows, self.tag, self.file = rows, tag, file
        self.id = f"batches/{name}" if SCHEME == "gemini" else name
        self.created, self.looks = time.time(), 0
        self.canceled = self.finished = False
        self.good, self.bad = [], []
        doing = plan()
        self.refused = doing.get("refuse", "")
        if len(BATCHES) == 1:
            self.refused = doing.get("refuse_second", self.refused)

    def look(self):
        self.looks += 1
        if not self.finished and (self.looks > plan().get("looks", 1) or self.canceled):
            self.finish()

    def finish(self):
        self.finished = True
        if self.refused:
            return
        doing, rows = plan(), list(self.rows)
        count = {k: doing.get(k, 0) for k in ("expired", "errored", "lost")}
        if self.canceled:
            count["canceled"] = len(rows) - 1
        for kind, number in count.items():
            for key, _ in [rows.pop() for _ in range(min(number, len(rows)))]:
                self.bad += [] if kind == "lost" else [bad(key, kind)]
        self.state = "expired" if count["expired"] or count["lost"] else "completed"
        self.state = "cancelled" if self.canceled else self.state
        for key, body in rows:
            paid("batch", key, body)
            self.good.append(good(key, body))
        if doing.get("reverse"):
            self.good.reverse()
        if doing.get("twice"):
            self.good += self.good[:1]

    def shown(self):
        return {"openai": self.openai, "together": self.together, "mistral": self.mistral,
                "anthropic": self.anthropic, "gemini": self.gemini}[SCHEME]()  # fmt: skip

    def outputs(self):
        return (
            f"out-{self.id}" if self.finished and self.good else None,
            f"err-{self.id}" if self.finished and self.bad else None,
        )

    def openai(self):
        out, err = self.outputs()
        status = "in_progress" if not self.finished else "failed" if self.refused else self.state
        errors = {"data": [{"code": "invalid", "message": self.refused}]} if self.refused else None
        total = 0 if self.refused else len(self.rows)
        counts = {"total": total, "completed": len(self.good), "failed": len(self.bad)}
        return {
            "id": self.id, "object": "batch", "status": status, "errors": errors,
            "created_at": int(self.created), "output_file_id": out, "error_file_id": err,
            "request_counts": counts, "metadata": {"plaudit": self.tag},
            "input_file_id": self.file,
        }  # fmt: skip

    def together(self):
        job = self.openai()
        for name in ("metadata", "request_counts", "errors", "object"):
            del job[name]
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created))
        return job | {
            "status": job["status"].upper(), "created_at": created, "progress": 50,
            "error": self.refused or None, "model_id": "m",
        }  # fmt: skip

    def mistral(self):
        out, err = self.outputs()
        names = {"completed": "SUCCESS", "expired": "TIMEOUT_EXCEEDED", "cancelled": "CANCELLED"}
        ended = self.finished and ("FAILED" if self.refused else names[self.state])
        status = ended or "RUNNING"
        return {
            "id": self.id, "object": "batch", "status": status, "input_files": [self.file],
            "metadata": {"plaudit": self.tag}, "created_at": int(self.created),
            "output_file": out, "error_file": err, "total_requests": len(self.rows),
            "succeeded_requests": len(self.good), "failed_requests": len(self.bad),
            "errors": [{"message": self.refused}] if self.refused else [],
        }  # fmt: skip

    def anthropic(self):
        kinds = [line["result"]["type"] for line in self.bad]
        counts = {kind: kinds.count(kind) for kind in ("errored", "canceled", "expired")}
        left = 0 if self.finished else len(self.rows)
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created))
        return {
            "id": self.id, "type": "message_batch", "created_at": created,
            "processing_status": "ended" if self.finished else "in_progress",
            "request_counts": counts | {"processing": left, "succeeded": len(self.good)},
            "results_url": f"http://elsewhere.example/{self.id}",
        }  # fmt: skip

    def gemini(self):
        names = {"completed": "SUCCEEDED", "expired": "EXPIRED", "cancelled": "CANCELLED"}
        ended = self.finished and ("FAILED" if self.refused else names[self.state])
        status = ended or "RUNNING"
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created))
        stats = {"requestCount": str(len(self.rows)), "failedRequestCount": str(len(self.bad))}
        meta = {"state": f"BATCH_STATE_{status}", "displayName": self.tag, "createTime": created}
        shown = {"name": self.id, "metadata": meta | {"batchStats": stats}}
        if self.finished:
            shown["done"] = True
            if self.refused:
                shown["error"] = {"code": 3, "message": self.refused}
            else:
                shown["response"] = {"responsesFile": f"files/out-{self.id.split('/')[1]}"}
        return shown


class Refused(Exception):
    pass


def step_of(method, path, headers):
    """The step of a run that a request is."""
    if path.endswith("/models"):
        return "models"
    if path.endswith(("/chat/completions", "/v1/messages")):
        return "live"
    if path.startswith("/upload") or path.endswith(("/v1/files", "/files/upload")):
        return "start" if headers["X-Goog-Upload-Command"] == "start" else "upload"
    if path.endswith(("/results", "/content", ":download")):
        return "results"
    if path.endswith("cancel"):
        return "cancel"
    if method == "POST":
        return "create"
    return "list" if path.endswith(("/batches", "/batch/jobs")) else "look"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.serve(b"")

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.serve(body)

    def serve(self, body):
        url = urlsplit(self.path)
        if url.path == "/reset":
            with LOCK:
                FILES.clear()
                BATCHES.clear()
                COUNT["creates"] = 0
            return self.send(200, {})
        with LOCK:
            step = step_of(self.command, url.path, self.headers)
            note("requests", step=step, path=url.path)
            kill, when = plan().get("kill", ("", ""))
            if step == kill and when == "before" and self.kill():
                self.close_connection = True
                return None
            try:
                status, answer = self.answer(url.path, parse_qs(url.query), body)
            except Refused as refused:
                status, answer = refused.args
            if step == kill and when == "after":
                self.kill()
        if status == 0:
            self.close_connection = True
            return self.connection.close()
        return self.send(status, answer)

    def kill(self):
        path, done = FOLDER / "pid", FOLDER / "killed"
        if done.exists():
            return False
        while not path.exists():
            time.sleep(0.01)
        done.touch()
        os.kill(int(path.read_text()), signal.SIGKILL)
        path.unlink()
        return True

    def send(self, status, answer):
        headers = {}
        if isinstance(answer, tuple):
            answer, headers = answer
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # The client was killed.

    def answer(self, path, query, body):
        key = "x-goog-api-key" if SCHEME == "gemini" else "x-api-key"
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if (given or self.headers.get(key)) != "secret-key-of-the-tests":
            return 401, {"error": {"message": "no such key"}}
        get = self.command == "GET"
        if get and path.endswith("/models"):
            return 200, {"data": [{"id": "m"}]}
        if path.endswith(("/chat/completions", "/v1/messages")):
            asked = json.loads(body)
            paid("live", "", asked)
            return 200, reply_to(asked)
        return self.files(path, body) or self.batches(path, query, body)

    def files(self, path, body):
        if path == "/upload/v1beta/files":
            if self.headers["X-Goog-Upload-Command"] == "start":
                place = f"http://{self.headers['Host']}{path}?upload_id=1"
                return 200, ({}, {"X-Goog-Upload-URL": place})
            FILES["files/in-1"] = body
            return 200, {"file": {"name": "files/in-1"}}
        if path in ("/v1/files", "/v1/files/upload"):
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts = message_from_bytes(head + body).get_payload()
            fields = {p.get_param("name", header="content-disposition"): p for p in parts}
            purpose = fields["purpose"].get_payload().strip()
            assert purpose == ("batch-api" if SCHEME == "together" else "batch"), purpose
            name = f"file-{len(FILES)}"
            FILES[name] = fields["file"].get_payload(decode=True)
            return 200, {"id": name}
        found = re.search(r"/(out|err)-(.+?)(/content|:download)$", path)
        found = found or re.search(r"/batches/(x)?(.+)/results$", path)
        if found is None:
            return None
        if plan().get("gone"):
            return 404, {"error": {"message": "no such file"}}
        batch = next(b for b in BATCHES.values() if b.id.split("/")[-1] == found[2])
        one_file = SCHEME in ("gemini", "anthropic")
        lines = (
            batch.good + batch.bad if one_file else batch.bad if found[1] == "err" else batch.good
        )
        return 200, b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def batches(self, path, query, body):
        if self.command == "POST" and path.endswith("cancel"):
            batch = self.find(re.sub(r"[:/]cancel$", "", path))
            batch.canceled = True
            return 200, batch.shown()
        if self.command == "POST":
            return self.create(json.loads(body))
        if path.endswith(("/batches", "/batch/jobs")):
            newest = sorted(BATCHES.values(), key=lambda b: -b.created)
            for one in newest:
                one.look()  # Time goes by.
            shown = [one.shown() for one in newest]
            if SCHEME == "gemini":
                return 200, {"operations": shown}
            return 200, shown if SCHEME == "together" else {"data": shown, "has_more": False}
        batch = self.find(path)
        batch.look()
        return 200, batch.shown()

    def find(self, path):
        for batch in BATCHES.values():
            if path.endswith("/" + batch.id):
                return batch
        raise Refused(404, {"error": {"message": "no such batch"}})

    def create(self, asked):
        COUNT["creates"] += 1
        if COUNT["creates"] <= plan().get("busy", 0):
            headers = {"Retry-After": "0"}
            return 429, ({"error": {"message": "too many batches"}}, headers)
        if COUNT["creates"] <= plan().get("broken", 0):
            return 500, {"error": {"message": "out of order"}}
        file = tag = ""
        if SCHEME == "anthropic":
            lines = [json.dumps(row) for row in asked["requests"]]
        else:
            config = asked.get("batch", {}).get("input_config", {})
            file = asked.get("input_file_id") or config.get("file_name") or asked["input_files"][0]
            tag = asked.get("metadata", {}).get("plaudit") or asked.get("batch", {})["display_name"]
            lines = FILES[file].splitlines()
        rows = [read_row(line) for line in lines]
        assert len({key for key, _ in rows}) == len(rows), "an id twice"
        batch = Batch(rows, f"b{len(BATCHES)}", tag, file)
        BATCHES[batch.id] = batch
        note("created", id=batch.id, rows=len(rows), bytes=len(FILES.get(file, b"")))
        if plan().get("drop_create") == len(BATCHES):
            return 0, None
        return 200, {"job": batch.shown()} if SCHEME == "together" else batch.shown()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # The client was killed.
            super().handle_error(*_)


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    (FOLDER / "port.new").write_text(str(server.server_address[1]))
    (FOLDER / "port.new").rename(FOLDER / "port")
    server.serve_forever()
