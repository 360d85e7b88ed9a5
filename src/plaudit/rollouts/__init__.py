"""Agents that answer questions with tools, and rewards that read what they did.

What users need of it is here; `plaudit.rollouts.corpus` makes documents searchable, and
`plaudit.integrations` hands rollouts and rewards to trainers.
"""

from plaudit.rollouts.api import aevaluate, arollout, evaluate, rollout
from plaudit.rollouts.comparing import compare
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.evaluation import Evaluation
from plaudit.rollouts.question import Question
from plaudit.rollouts.questions import (
    count_questions,
    pick_questions,
    question_dataset,
    read_questions,
    write_questions,
)
from plaudit.rollouts.result import Rollouts
from plaudit.rollouts.rewards.scoring import ascore_traces, grouped, score_traces
from plaudit.rollouts.rewards.spec import load_rewards
from plaudit.rollouts.tokens.chats import tokenize_chats
from plaudit.rollouts.tools import Tool, ToolError, ToolResult, ToolSet, function_tool, load_tools
from plaudit.rollouts.trace import CallRecord, Score, StopReason, Tokens, Trace, Turn
from plaudit.rollouts.traces import read_traces, write_traces

__all__ = [
    "CallRecord",
    "Evaluation",
    "Question",
    "RolloutConfig",
    "Rollouts",
    "Score",
    "StopReason",
    "Tokens",
    "Tool",
    "ToolError",
    "ToolResult",
    "ToolSet",
    "Trace",
    "Turn",
    "aevaluate",
    "arollout",
    "ascore_traces",
    "compare",
    "count_questions",
    "evaluate",
    "function_tool",
    "grouped",
    "load_rewards",
    "load_tools",
    "pick_questions",
    "question_dataset",
    "read_questions",
    "read_traces",
    "rollout",
    "score_traces",
    "tokenize_chats",
    "write_questions",
    "write_traces",
]
