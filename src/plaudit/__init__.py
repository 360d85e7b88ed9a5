"""Rewards for language models that can be trusted."""

from plaudit._util.public import lazy_names

__version__ = "0.1.0"

_MODULES = {
    "AnswerSample": "plaudit.types",
    "Calibration": "plaudit.scoring.calibration",
    "CallError": "plaudit.errors",
    "CallableEngine": "plaudit.engines.callable",
    "Capabilities": "plaudit.engines.base",
    "Cause": "plaudit.errors",
    "Completion": "plaudit.engines.base",
    "Engine": "plaudit.engines.base",
    "EngineInfo": "plaudit.engines.base",
    "EngineUnusableError": "plaudit.errors",
    "Failure": "plaudit.types",
    "FeedbackSample": "plaudit.types",
    "InputError": "plaudit.errors",
    "Judge": "plaudit.judge",
    "JudgeConfig": "plaudit.judges.config",
    "Message": "plaudit.types",
    "MissingDependencyError": "plaudit.errors",
    "PairSample": "plaudit.types",
    "PlauditError": "plaudit.errors",
    "ReplyError": "plaudit.errors",
    "Request": "plaudit.engines.base",
    "ResponseSample": "plaudit.types",
    "Sample": "plaudit.types",
    "Sampling": "plaudit.engines.base",
    "SendPolicy": "plaudit.sending.pool",
    "StoreError": "plaudit.errors",
    "TemplateError": "plaudit.errors",
    "TokenLogprob": "plaudit.engines.base",
    "ToolCall": "plaudit.engines.base",
    "ToolSpec": "plaudit.engines.base",
    "Usage": "plaudit.types",
    "UsageError": "plaudit.errors",
    "Verdict": "plaudit.types",
    "Verdicts": "plaudit.types",
    "VoteRule": "plaudit.scoring.votes",
    "fit_calibration": "plaudit.runs.learning",
    "launch_engine": "plaudit.engines.load",
    "load_calibration": "plaudit.scoring.calibration",
    "load_engine": "plaudit.engines.load",
    "reward_and_update": "plaudit.types",
    "run_sync": "plaudit._util.loops",
    "sample_shots": "plaudit.runs.pools",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
