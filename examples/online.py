"""Follows a growing file of conversations, judges how users react, and prints the updates.

    python examples/online.py conversations.jsonl updates.jsonl

A line of the input is a conversation: `{"id", "user", "messages"}`. It may come again once it has
grown; its turns are taken once. Each update becomes a line of the output, which stands for your
policy: where you change weights, keep `update.number` with them.

It may be stopped or killed at any time, and goes on where it was: `updates.jsonl.state` knows how
far the input was read, and the last line of the output says which update was the last.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from plaudit import InputError, Judge, OnlineUpdate, PlauditError, PolicyUpdate

AGAIN_S = 0.5
"""Seconds after which the input, or an engine that failed, is tried again."""


def main() -> None:
    """Follow the input until SIGINT or SIGTERM, or with `--once` to its end."""
    parser = argparse.ArgumentParser(description="Prints online updates of a policy.")
    parser.add_argument("conversations", type=Path)
    parser.add_argument("updates", type=Path)
    parser.add_argument("-e", "--engine", help="engine URI; by default the embedded model")
    parser.add_argument("--readout", default="auto", help="how the judge is read")
    parser.add_argument("--once", action="store_true", help="stop at the end of the input")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    state = f"{given.updates}.state"
    with (
        open(given.updates, "a+b") as policy,
        OnlineUpdate(state, applied=last_number(policy)) as online,
        Judge("feedback", engine=given.engine, readout=given.readout) as judge,
    ):
        while True:
            for line, end in new_lines(given.conversations, online.position or 0):
                learn(line, judge, online, policy)
                online.position = end
                online.save()
            if given.once:
                return
            time.sleep(AGAIN_S)


def last_number(policy: Any) -> int:
    """Return the number of the last update, and cut off a line that a crash left unfinished."""
    policy.seek(0)
    last, end = b'{"number": 0}', 0
    for line in policy:
        if line.endswith(b"\n"):
            last, end = line, end + len(line)
    policy.truncate(end)
    return json.loads(last)["number"]


def new_lines(path: Path, position: int) -> Any:
    """Yield whole lines from a position on, each with the position of its end."""
    with open(path, "rb") as source:
        if os.fstat(source.fileno()).st_size < position:
            raise InputError(f"{path} is shorter than what was read of it: it is another file")
        source.seek(position)
        while (line := source.readline()).endswith(b"\n"):
            yield line, source.tell()


def learn(line: bytes, judge: Judge, online: OnlineUpdate, policy: Any) -> None:
    """Judge the turns of a conversation, and have the policy learn from them."""
    try:
        row = json.loads(line)
        samples = judge.samples([row])
        user = str(row.get("user", row["id"]))
    except (ValueError, KeyError, AttributeError, InputError) as error:
        print(f"a line was left out: {error}", file=sys.stderr)
        return
    verdicts = judge.judge_batch(samples)
    while any(verdict.status == "failed" for verdict in verdicts):
        time.sleep(AGAIN_S)  # An outage says nothing about users: the turns wait for its end.
        verdicts = judge.judge_batch(samples)
    for verdict in verdicts:
        update = online.add(verdict, user)
        if update is not None:
            apply(update, policy)


def apply(update: PolicyUpdate, policy: Any) -> None:
    """Stand for a step of the policy: write the update and its number in one."""
    policy.write(msgspec.json.encode(update) + b"\n")
    policy.flush()
    print(
        f"{update.number} {update.user} {update.id}: {update.advantage:+.2f} "
        f"(reward {update.reward:+.2f}, baseline {update.baseline:+.2f})",
        flush=True,
    )


if __name__ == "__main__":
    try:
        main()
    except PlauditError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
