"""The public API: names and signatures that users rely on."""

import inspect
import subprocess
import sys

import plaudit
import plaudit.preferences
import plaudit.rollouts

PUBLIC = {
    "AnswerSample", "Calibration", "CallError", "CallableEngine", "Capabilities", "Cause",
    "Completion", "Engine", "EngineUnusableError", "Failure", "FeedbackSample",
    "InputError", "Judge", "JudgeConfig",
    "Message", "MissingDependencyError", "PairSample", "PlauditError", "ReplyError", "Request",
    "ResponseSample", "Sample", "Sampling", "SendPolicy", "StoreError", "TemplateError",
    "TokenLogprob", "Usage", "UsageError", "Verdict", "fit_calibration", "load_calibration",
    "load_engine", "reward_and_update",
    "sample_shots",
}  # fmt: skip


PUBLIC_IN_ROLLOUTS = {
    "CallRecord", "Evaluation", "Question", "RolloutConfig", "Rollouts", "Score", "StopReason",
    "Tokens", "Tool", "ToolError", "ToolResult", "ToolSet", "Trace", "Turn", "aevaluate",
    "arollout", "ascore_traces", "compare", "count_questions", "evaluate", "function_tool",
    "grouped",
    "load_rewards", "load_tools", "pick_questions", "question_dataset", "read_questions",
    "read_traces", "rollout", "score_traces", "tokenize_chats", "write_questions",
    "write_traces",
}  # fmt: skip


PUBLIC_IN_PREFERENCES = {
    "Candidate", "Curriculum", "CurriculumOptions", "ExportOptions", "ExportSummary",
    "LengthBalance", "PairJob", "PairOptions", "PairReport", "PairSummary", "Preference",
    "ReadOptions", "SplitOptions", "Tally", "bradley_terry", "export_pairs", "make_pairs",
    "pair_file", "read_rewards", "write_report",
}  # fmt: skip


def test_public_names_are_pinned() -> None:
    assert set(plaudit.preferences.__all__) == PUBLIC_IN_PREFERENCES
    assert all(hasattr(plaudit.preferences, name) for name in PUBLIC_IN_PREFERENCES)
    assert all(getattr(plaudit.preferences, name).__doc__ for name in PUBLIC_IN_PREFERENCES)
    assert set(plaudit.__all__) == PUBLIC
    assert all(hasattr(plaudit, name) for name in PUBLIC)
    assert set(plaudit.rollouts.__all__) == PUBLIC_IN_ROLLOUTS
    assert all(hasattr(plaudit.rollouts, name) for name in PUBLIC_IN_ROLLOUTS)


def test_judge_signatures_are_pinned() -> None:
    parameters_of = {
        "__init__": ["kind", "engine", "cache", "send", "jury", "cascade", "config"],
        "judge": ["row", "cache", "generation"],
        "judge_batch": ["rows", "progress", "on_reject", "cache", "generation"],
        "stream": ["rows", "window", "on_reject", "cache", "generation"],
        "map_batch": ["batch", "prefix", "cache", "generation"],
        "ajudge": ["row", "cache", "generation"],
        "ajudge_batch": ["rows", "progress", "on_reject", "cache", "generation"],
        "astream": ["rows", "window", "on_reject", "cache", "generation"],
    }
    parameters = {
        name: list(inspect.signature(getattr(plaudit.Judge, name)).parameters)[1:]
        for name in parameters_of
    }
    assert parameters == parameters_of


def test_everything_public_is_documented() -> None:
    assert [name for name in PUBLIC if not getattr(plaudit, name).__doc__] == []
    inside = [name for name in PUBLIC_IN_ROLLOUTS if not getattr(plaudit.rollouts, name).__doc__]
    assert inside == []


def test_verdict_fields_are_pinned_in_order() -> None:
    assert plaudit.Verdict.__struct_fields__ == (
        "index", "id", "status", "value", "reward", "confidence", "probabilities", "fields",
        "usage", "judge", "error", "metadata", "input", "raw",
    )  # fmt: skip


def test_importing_does_no_work_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, threading, logging, plaudit\n"
        "heavy = {'xllamacpp', 'torch', 'transformers', 'pyarrow', 'datasets', 'trl', 'ray',"
        "'numpy', 'scipy', 'sklearn', 'matplotlib'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        "assert threading.active_count() == 1 and not logging.getLogger().handlers\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
