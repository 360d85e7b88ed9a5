"""The words as values: frozen, compared by value, picklable, and the same in JSON and back."""

import copy
import pickle

import msgspec
import pytest

from plaudit.errors import Cause
from plaudit.types import Failure, Message, Usage, Verdict, reward_and_update
from tests.judges.making import KINDS, sample_of

VERDICT = Verdict(
    index=3, id="x", status="abstained", value="neutral", confidence=0.4,
    probabilities={"neutral": 0.4}, fields={"expected_reward": 0.1}, usage=Usage(4, 1),
    judge="feedback/5f2c", error=Failure(Cause.BELOW_GATE, "too low"), metadata={"label": "x"},
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_frozen_picklable_values(kind: str) -> None:
    sample = sample_of(kind)
    assert pickle.loads(pickle.dumps(sample)) == sample == copy.deepcopy(sample)
    with pytest.raises(AttributeError):
        sample.id = "other"
    assert msgspec.json.decode(msgspec.json.encode(sample), type=type(sample)) == sample


def test_a_verdict_survives_json_and_pickle() -> None:
    data = msgspec.json.encode(VERDICT)
    assert msgspec.json.decode(data, type=Verdict) == VERDICT
    assert pickle.loads(pickle.dumps(VERDICT)) == VERDICT
    assert msgspec.json.encode(msgspec.json.decode(data, type=Verdict)) == data


def test_the_columns_of_a_verdict_are_pinned() -> None:
    row = msgspec.json.decode(msgspec.json.encode(VERDICT))
    assert list(row) == [
        "index", "id", "status", "value", "reward", "confidence", "probabilities", "fields",
        "usage", "judge", "error", "metadata",
    ]  # fmt: skip
    assert row["error"] == {"cause": "below_gate", "message": "too low", "attempts": 1}
    assert row["usage"] == {"input_tokens": 4, "output_tokens": 1}
    assert row["reward"] is None
    whole = msgspec.structs.replace(VERDICT, input={"query": "q"}, raw=["r"])
    assert list(msgspec.to_builtins(whole))[-2:] == ["input", "raw"]


@pytest.mark.parametrize(
    ("status", "update"),
    [("ok", True), ("abstained", False), ("invalid", False), ("failed", False)],
)
def test_only_ok_is_learned_from(status, update: bool) -> None:
    verdict = Verdict(index=0, id="x", status=status, reward=0.5 if update else None)
    assert verdict.should_update is update
    assert reward_and_update(verdict) == (verdict.reward, update)


def test_usage_adds_up() -> None:
    assert Usage(1, 2) + Usage(10, 20) == Usage(11, 22)
    assert Usage() + Usage() == Usage(0, 0)


def test_a_message_leaves_out_what_it_does_not_have() -> None:
    assert msgspec.to_builtins(Message("user", "x")) == {"role": "user", "content": "x"}
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
    message = Message("assistant", tool_calls=[call])
    assert msgspec.to_builtins(message) == {"role": "assistant", "tool_calls": [call]}


def test_defaults_are_not_shared_between_values() -> None:
    one, other = (Verdict(index=0, id="x", status="ok") for _ in range(2))
    assert one.fields is not other.fields or one.fields == {}
    one.fields["x"] = 1
    assert other.fields == {}


def test_the_text_of_a_message() -> None:
    parts = [{"type": "text", "text": "a "}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert Message("user", "a").text == "a"
    assert Message("user", parts).text == "a b"
    assert Message("assistant").text == ""


@pytest.mark.parametrize("read", [b'{"input_tokens":-5,"output_tokens":3}', b'{"output_tokens":3}'])
def test_defect_10_a_count_below_nothing_is_unknown_wherever_it_is_read(read: bytes) -> None:
    assert msgspec.json.decode(read, type=Usage) == Usage(0, 3) == Usage(-1, 3)
    assert Usage(10**30, 2**63) + Usage(1, -2) == Usage(1, 0)
    assert msgspec.convert({"input_tokens": -(2**62)}, Usage) == Usage()
