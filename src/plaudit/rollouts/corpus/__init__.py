"""A corpus: documents cut into chunks, indexed, searched, and asked about."""

from plaudit.rollouts.corpus.build import BuildReport, build_corpus
from plaudit.rollouts.corpus.index import Chunk, Corpus, Hit, open_corpus
from plaudit.rollouts.corpus.making import QuestionOptions, QuestionReport, make_questions
from plaudit.rollouts.corpus.tool import search_tool

__all__ = [
    "BuildReport",
    "Chunk",
    "Corpus",
    "Hit",
    "QuestionOptions",
    "QuestionReport",
    "build_corpus",
    "make_questions",
    "open_corpus",
    "search_tool",
]
