"""`--launch` with the real command of a server."""

import shlex
from pathlib import Path

import psutil
import pytest

from tests.live.conftest import SCHEMES, setting
from tests.support.command import EXAMPLES, Plaudit, rows_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]


def with_argument(text: str) -> list[int]:
    """The processes that name something on their command line."""
    found = psutil.process_iter(["pid", "cmdline"])
    return [p.info["pid"] for p in found if text in " ".join(p.info["cmdline"] or ())]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_real_server_is_started_used_and_ended(
    scheme: str, plaudit: Plaudit, tmp_path: Path
) -> None:
    model = setting(scheme, "LAUNCH")
    if not model:
        pytest.skip(f"set PLAUDIT_LIVE_{scheme.upper()}_LAUNCH")
    extra = [
        part
        for argument in shlex.split(setting(scheme, "LAUNCH_ARGS"))
        for part in ("--launch-arg", shlex.quote(argument))
    ]
    before, own = with_argument(model), {p.pid for p in psutil.process_iter()}
    done = plaudit(
        "judge", "feedback", EXAMPLES / "feedback.jsonl", "-e", f"{scheme}:{model}", "--json",
        "--launch", "1", *extra, "--readout", "json", "--mode", "completion", "--limit", "6",
        "-o", tmp_path / "out.jsonl", timeout=900,
    )  # fmt: skip
    print(f"\n--launch 1 with a real {scheme}:\n{done.stderr[-2500:]}")
    assert done.status in (0, 1)
    verdicts = rows_of(tmp_path / "out.jsonl")
    print(f"{len(verdicts)} judged, {[v['value'] for v in verdicts]}")
    assert any(v["value"] is not None for v in verdicts)
    assert with_argument(model) == before
    left = [p for p in psutil.process_iter(["name"]) if p.pid not in own]
    assert not [p for p in left if scheme in (p.info["name"] or "").lower()]
