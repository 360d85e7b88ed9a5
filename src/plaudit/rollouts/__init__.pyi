"""Agents that answer questions with tools, and rewards that read what the agents did."""

from plaudit.rollouts.trace import CallRecord as CallRecord
from plaudit.engines.chat_template import ChatTemplate as ChatTemplate
from plaudit.rollouts.evaluation import Evaluation as Evaluation
from plaudit.corpus.questions import Question as Question
from plaudit.rollouts.config import RolloutConfig as RolloutConfig
from plaudit.rollouts.result import Rollouts as Rollouts
from plaudit.rollouts.trace import Score as Score
from plaudit.rollouts.trace import StopReason as StopReason
from plaudit.rollouts.tokens.log import TokenLog as TokenLog
from plaudit.rollouts.trace import Tokens as Tokens
from plaudit.rollouts.tools import Tool as Tool
from plaudit.rollouts.tools import ToolError as ToolError
from plaudit.rollouts.tools import ToolResult as ToolResult
from plaudit.rollouts.tools import ToolSet as ToolSet
from plaudit.rollouts.trace import Trace as Trace
from plaudit.rollouts.trace import Turn as Turn
from plaudit.rollout import aevaluate as aevaluate
from plaudit.rollout import arollout as arollout
from plaudit.rollouts.rewards.scoring import ascore_traces as ascore_traces
from plaudit.rollouts.evaluation import compare as compare
from plaudit.corpus.questions import count_questions as count_questions
from plaudit.rollouts.calls.forms import describe_tools as describe_tools
from plaudit.rollouts.tokens.rendering import engine_renderer as engine_renderer
from plaudit.rollout import evaluate as evaluate
from plaudit.rollouts.tools import function_tool as function_tool
from plaudit.rollouts.rewards.scoring import grouped as grouped
from plaudit.rollouts.rewards.spec import load_rewards as load_rewards
from plaudit.rollouts.tokens.tokenizer import load_tokenizer as load_tokenizer
from plaudit.rollouts.tools import load_tools as load_tools
from plaudit.corpus.questions import pick_questions as pick_questions
from plaudit.corpus.questions import question_dataset as question_dataset
from plaudit.corpus.questions import read_questions as read_questions
from plaudit.rollouts.calls.parsing import read_reply as read_reply
from plaudit.rollouts.traces import read_traces as read_traces
from plaudit.rollout import rollout as rollout
from plaudit.rollouts.rewards.scoring import score_traces as score_traces
from plaudit.rollouts.tokens.chats import tokenize_chats as tokenize_chats
from plaudit.rollouts.calls.forms import tool_answer as tool_answer
from plaudit.rollouts.calls.forms import write_call as write_call
from plaudit.corpus.questions import write_questions as write_questions
from plaudit.rollouts.traces import write_traces as write_traces

__all__ = [
    "CallRecord",
    "ChatTemplate",
    "Evaluation",
    "Question",
    "RolloutConfig",
    "Rollouts",
    "Score",
    "StopReason",
    "TokenLog",
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
    "describe_tools",
    "engine_renderer",
    "evaluate",
    "function_tool",
    "grouped",
    "load_rewards",
    "load_tokenizer",
    "load_tools",
    "pick_questions",
    "question_dataset",
    "read_questions",
    "read_reply",
    "read_traces",
    "rollout",
    "score_traces",
    "tokenize_chats",
    "tool_answer",
    "write_call",
    "write_questions",
    "write_traces",
]
