"""Setting a judge up: readout, mode, gate, sampling, template and fingerprint."""

import msgspec
import pytest

from plaudit.engines.base import Capabilities, EngineInfo, Sampling
from plaudit.errors import TemplateError, UsageError
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import KINDS as TASKS
from plaudit.judges.load import bind, task_type
from plaudit.prompts.template import builtin
from tests.judges.making import CAPABLE, DUMB, KINDS, MODES, READOUTS, facts, make, sample_of


def test_the_logprob_readout_is_the_default_where_there_is_one() -> None:
    assert make("feedback").readout == "logprob"
    assert make("feedback", facts(DUMB)).readout == "json"
    assert make("feedback", facts(reasoning=True)).readout == "json"


@pytest.mark.parametrize("kind", KINDS)
def test_the_logprob_readout_is_refused_without_log_probabilities(kind: str) -> None:
    with pytest.raises(UsageError, match=r"gives no log-probabilities.*readout=.json"):
        make(kind, facts(DUMB), readout="logprob")


@pytest.mark.parametrize("kind", KINDS)
def test_the_logprob_readout_is_refused_for_a_reasoning_model(kind: str) -> None:
    with pytest.raises(UsageError, match=r"thinks before it answers.*readout=.json"):
        make(kind, facts(reasoning=True), readout="logprob")


def test_the_mode_is_the_engines_own_unless_asked_for() -> None:
    base = Capabilities(logprobs=5, chat=False, completion=True, default_mode="completion")
    assert make("feedback", facts(base)).mode == "completion"
    assert make("feedback").mode == "chat"
    assert make("feedback", mode="completion").mode == "completion"
    with pytest.raises(UsageError, match="no chat mode"):
        make("feedback", facts(base), mode="chat")
    with pytest.raises(UsageError, match="no completion mode"):
        make("feedback", facts(DUMB), mode="completion")


@pytest.mark.parametrize("gate", [-0.1, 1.1, 95, float("nan"), float("inf")])
def test_a_gate_that_is_no_probability_is_refused(gate: float) -> None:
    with pytest.raises(UsageError, match="gate"):
        make("feedback", gate=gate)


def test_the_default_gates() -> None:
    gates = {kind: [make(kind, readout=r).gate for r in READOUTS] for kind in KINDS}
    assert gates == {
        "feedback": [0.6, 0.6], "pointwise": [None, None], "pairwise": [None, None],
        "verify": [None, None],
    }  # fmt: skip


def test_the_default_lengths() -> None:
    lengths = {kind: make(kind, readout="json").prompt.sampling.max_tokens for kind in KINDS}
    assert lengths == {"feedback": 256, "pointwise": 3072, "pairwise": 3072, "verify": 256}
    assert {make(kind, readout="logprob").prompt.sampling.max_tokens for kind in KINDS} == {1}
    assert make("feedback", readout="json", max_tokens=9).prompt.sampling.max_tokens == 9


@pytest.mark.parametrize("kind", KINDS)
def test_the_json_readout_sends_its_schema_and_the_logprob_readout_its_options(kind: str) -> None:
    request = make(kind, readout="json").render(sample_of(kind))
    assert (request.logprobs, request.options) == (0, ())
    assert msgspec.json.decode(request.schema.body) == TASKS[kind].schema
    request = make(kind, readout="logprob").render(sample_of(kind))
    assert request.schema is None
    assert 0 < request.logprobs <= 20
    assert request.options == tuple(option.word for option in TASKS[kind].options)


def test_a_judge_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no judge 'feedbak'"):
        task_type("feedbak")


async def test_a_task_is_bound_to_what_the_engine_says_of_itself() -> None:
    class Engine:
        capabilities = CAPABLE
        info = EngineInfo(special_tokens=("<<weird>>",), reasoning=True)

        async def identify(self) -> str:
            return "me"

    task = await bind(JudgeConfig(kind="feedback"), Engine())
    assert (task.identity, task.readout) == ("me", "json")
    assert "<<weird>>" not in task.prompt.escape("a <<weird>> b")


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_is_data(kind: str) -> None:
    config = JudgeConfig(kind=kind, gate=0.5, generation={"min_p": 0.1})
    assert msgspec.json.decode(msgspec.json.encode(config), type=JudgeConfig) == config


@pytest.mark.parametrize("kind", KINDS)
def test_defect_04_the_logprob_readout_writes_what_it_reads(kind: str) -> None:
    plain = make(kind, readout="logprob")
    given = make(kind, readout="logprob", temperature=0.7, top_p=0.9, max_tokens=3072)
    assert given.prompt.sampling == plain.prompt.sampling == Sampling()
    assert given.fingerprint == plain.fingerprint
    assert given.notes[0].startswith("temperature, top_p, max_tokens: without effect")
    only = make(kind, readout="logprob", max_tokens=9)
    assert only.notes[0].startswith("max_tokens: without effect")
    said = [make(kind, readout="json", max_tokens=9), plain]
    said.append(make(kind, readout="logprob", temperature=0, top_p=1, max_tokens=1))
    assert not any("without effect" in note for task in said for note in task.notes)


# The fingerprint.


def fingerprint(tmp_path=None, **config) -> str:
    engine = facts(identity=config.pop("identity", "test"))
    return make(config.pop("kind", "pairwise"), engine, **{"readout": "json"} | config).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"identity": "another-model"},
        {"readout": "logprob"},
        {"mode": "completion"},
        {"swap": False},
        {"temperature": 0.5},
        {"top_p": 0.9},
        {"max_tokens": 100},
        {"seed": 1},
        {"seed": None},
        {"generation": {"min_p": 0.1}},
        {"kind": "feedback"},
    ],
)
def test_the_fingerprint_changes_with_what_can_change_the_answer(change) -> None:
    assert fingerprint(**change) != fingerprint()


@pytest.mark.parametrize("kind", KINDS)
def test_the_fingerprint_changes_with_the_template(kind: str, tmp_path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(
        builtin(f"{kind}.chat").replace("{% block sample %}", "{% block sample %}\nx", 1)
    )
    assert fingerprint(kind=kind, template=str(path)) != fingerprint(kind=kind)


def test_the_fingerprint_changes_with_the_prior_policy_where_one_is_shipped() -> None:
    for kind in KINDS:
        task = task_type(kind)(JudgeConfig(kind=kind, readout="logprob"), facts())
        without = make(kind, readout="logprob", prior="none")
        assert (task.fingerprint != without.fingerprint) == bool(task.logprobs.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_the_fingerprint_does_not_change_with_gate_and_reward_map(kind: str) -> None:
    plain = make(kind, readout="logprob")
    assert make(kind, readout="logprob", gate=0.9).fingerprint == plain.fingerprint
    if rewards := getattr(plain, "rewards", None):
        mapped = make(kind, readout="logprob", reward_map=dict.fromkeys(rewards, 1.0))
        assert mapped.fingerprint == plain.fingerprint


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_the_fingerprint_is_the_same_each_time(kind: str, mode: str) -> None:
    assert make(kind, mode=mode).fingerprint == make(kind, mode=mode).fingerprint


# A user's own template.


def test_an_own_template_is_used_in_the_mode_that_is_asked_for(tmp_path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text("Q {{ query }} A {{ answer }} F {{ follow_up }} {{ readout }}")
    row = {"query": "{{ 7*7 }}", "answer": "{{ query }}", "follow_up": "{% raw %}"}
    text = "Q {{ 7*7 }} A {{ query }} F {% raw %} json"
    chat = make("feedback", readout="json", template=str(path)).render(sample_of("feedback", row))
    assert [(m.role, m.content) for m in chat.prompt] == [("user", text)]
    plain = make("feedback", readout="json", mode="completion", template=str(path))
    assert plain.render(sample_of("feedback", row)).prompt == text


def test_an_own_template_that_leaves_a_field_out_is_refused(tmp_path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text("{{ query }} {{ answer }}")
    with pytest.raises(TemplateError, match="'follow_up' is never used"):
        make("feedback", template=str(path))
