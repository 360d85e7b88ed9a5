"""The public API: names and signatures that users rely on."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import plaudit

PUBLIC = {
    "AnswerSample", "Calibration", "CallError", "CallableEngine", "Capabilities", "Cause",
    "Completion", "Engine", "EngineInfo", "EngineUnusableError", "Failure", "FeedbackSample",
    "InputError", "Judge", "JudgeConfig",
    "Message", "MissingDependencyError", "OnlineOptions", "OnlineUpdate", "PairSample",
    "PlauditError", "PolicyUpdate", "ReplyError", "Request",
    "ResponseSample", "Sample", "Sampling", "SendPolicy", "StoreError", "TemplateError",
    "TokenLogprob", "ToolCall", "ToolSpec", "Usage", "UsageError",
    "Verdict", "Verdicts", "VoteRule", "fit_calibration",
    "launch_engine", "load_calibration", "load_engine", "reward_and_update", "run_sync",
    "sample_shots",
}  # fmt: skip


PUBLIC_IN_ROLLOUTS = {
    "CallRecord", "ChatTemplate", "Evaluation", "Question", "RolloutConfig", "Rollouts", "Score",
    "StopReason", "TokenLog", "Tokens", "Tool",
    "ToolError", "ToolResult", "ToolSet", "Trace", "Turn", "aevaluate",
    "arollout", "ascore_traces", "compare", "count_questions", "describe_tools",
    "engine_renderer", "evaluate", "function_tool", "grouped", "load_rewards", "load_tokenizer",
    "load_tools", "pick_questions", "question_dataset", "read_questions", "read_reply",
    "read_traces", "rollout", "score_traces", "tokenize_chats", "tool_answer",
    "write_call", "write_questions", "write_traces",
}  # fmt: skip


PUBLIC_IN_PREFERENCES = {
    "Candidate", "Curriculum", "CurriculumOptions", "ExportOptions", "ExportSummary",
    "LengthBalance", "PairJob", "PairOptions", "PairReport", "PairSummary", "Preference",
    "ReadOptions", "SplitOptions", "Tally", "bradley_terry", "export_pairs", "make_pairs",
    "pair_file", "read_rewards", "write_report",
}  # fmt: skip


PUBLIC_IN_CORPUS = {
    "BuildReport", "Chunk", "Corpus", "Hit", "QuestionOptions", "QuestionReport", "build_corpus",
    "make_questions", "open_corpus", "search_tool",
}  # fmt: skip

PUBLIC_IN_BENCH = {
    "draw_rows", "load_dataset", "measure_outcomes", "official_score", "outcome_of",
    "outcome_of_scores", "outcomes_of_file", "paired_differences", "place_sides", "polarity",
    "replay",
}  # fmt: skip

PUBLIC_IN_JUDGES = {"BaseJudge", "EngineFacts", "Option", "Reading", "Untrusted"}

PACKAGES = {
    "plaudit": PUBLIC,
    "plaudit.bench": PUBLIC_IN_BENCH,
    "plaudit.corpus": PUBLIC_IN_CORPUS,
    "plaudit.judges": PUBLIC_IN_JUDGES,
    "plaudit.preferences": PUBLIC_IN_PREFERENCES,
    "plaudit.rollouts": PUBLIC_IN_ROLLOUTS,
}


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_pinned_and_documented(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) == PACKAGES[package]
    assert [name for name in module.__all__ if not getattr(module, name).__doc__] == []
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_hides_a_public_name_once_it_is_imported(package: str) -> None:
    module = importlib.import_module(package)
    assert (
        PACKAGES[package] & {found.name for found in pkgutil.iter_modules(module.__path__)} == set()
    )


def test_type_checkers_see_the_same_names() -> None:
    script = Path(__file__).parent.parent / "scripts" / "stubs.py"
    subprocess.run([sys.executable, script, "--check"], check=True)


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
