"""A corpus: documents cut into chunks, indexed, searched, and asked about."""

from plaudit._util.public import lazy_names

_MODULES = {
    "BuildReport": "plaudit.corpus.build",
    "Chunk": "plaudit.corpus.index",
    "Corpus": "plaudit.corpus.index",
    "Hit": "plaudit.corpus.index",
    "QuestionOptions": "plaudit.corpus.making",
    "QuestionReport": "plaudit.corpus.making",
    "build_corpus": "plaudit.corpus.build",
    "make_questions": "plaudit.corpus.making",
    "open_corpus": "plaudit.corpus.index",
    "search_tool": "plaudit.rollouts.tools.search",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
