"""A corpus: documents cut into chunks, indexed, searched, and asked about."""

from plaudit.corpus.build import BuildReport as BuildReport
from plaudit.corpus.index import Chunk as Chunk
from plaudit.corpus.index import Corpus as Corpus
from plaudit.corpus.index import Hit as Hit
from plaudit.corpus.making import QuestionOptions as QuestionOptions
from plaudit.corpus.making import QuestionReport as QuestionReport
from plaudit.corpus.build import build_corpus as build_corpus
from plaudit.corpus.making import make_questions as make_questions
from plaudit.corpus.index import open_corpus as open_corpus
from plaudit.rollouts.tools.search import search_tool as search_tool

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
