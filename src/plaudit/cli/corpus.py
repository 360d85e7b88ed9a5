"""`plaudit corpus`: documents made searchable, and questions made from them."""

import sys
from typing import Annotated

import typer

from plaudit.cli import display, display_corpus
from plaudit.cli.options import (
    Fields,
    JsonOption,
    NoCacheOption,
    RowsOption,
    StoreOption,
    Values,
    WriterOption,
    option,
    with_fields,
)
from plaudit.cli.running import GO_ON
from plaudit.corpus.build import BuildOptions, build_corpus
from plaudit.corpus.index import Corpus, open_corpus
from plaudit.corpus.making import QuestionOptions, QuestionReport, make_questions
from plaudit.corpus.questions import Question, write_questions
from plaudit.corpus.quiz import Marks, QuizOptions, hold_quiz, read_quiz
from plaudit.engines.base import Engine
from plaudit.engines.load import load_engine
from plaudit.errors import InterruptedRunError, UsageError
from plaudit.io.places import check_output
from plaudit.io.progress import DownloadProgress
from plaudit.judge import Judge
from plaudit.sending.pool import SendPolicy

app = typer.Typer(no_args_is_help=True, help="Make documents searchable, and ask about them.")

IndexArgument = Annotated[
    str, typer.Argument(metavar="INDEX", help="A folder that `plaudit corpus build` made.")
]


DocumentsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="DOCS...",
        help="Markdown, text, HTML, PDF, JSON Lines (`text`, and perhaps `id` and `title`), and "
        "folders of them.",
    ),
]


@app.command()
@with_fields
def build(
    documents: DocumentsArgument,
    out: Annotated[str, option("--out", "-o", metavar="INDEX", help="The folder of the index.")],
    options: Annotated[Values, Fields(BuildOptions)],
    as_json: JsonOption = False,
) -> None:
    """Cut documents into chunks and make an index that can be searched.

    The same command again takes over what did not change, reads what did, and drops what is not
    there any more.

    Exit status: 0 done; 1 done, but something could not be read; 2 wrong usage, or nothing could be
    read; 130 interrupted.
    """
    try:
        report = build_corpus(documents, out, **options)
    except KeyboardInterrupt:
        raise InterruptedRunError(f"interrupted; {out} is as it was before") from None
    if as_json:
        display.json_line(report)
    else:
        display_corpus.build_report(report)
    raise typer.Exit(bool(report.problems))


@app.command()
def search(
    index: IndexArgument,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.")],
    number: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Most results.")] = 5,
    as_json: RowsOption = False,
) -> None:
    """Show the chunks that are most about QUERY, the best first."""
    hits = open_corpus(index).search(query, number)
    if as_json:
        for hit in hits:
            display.json_line(display_corpus.hit_row(hit))
    else:
        display_corpus.hits(hits)


QuestionsOption = Annotated[
    str,
    option("--out", "-o", panel="Output", metavar="FILE", help="Write the questions here, or - ."),
]


@app.command()
@with_fields
def questions(
    index: IndexArgument,
    out: QuestionsOption,
    *,
    engine: WriterOption = "local",
    options: Annotated[Values, Fields(QuestionOptions)],
    send: Annotated[Values, Fields(SendPolicy, "timeout", "concurrency")],
    no_cache: NoCacheOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a model write questions about every chunk, and keep those that hold up.

    A question is kept if its answer stands in its chunk, it does not say its own answer, speaks of
    no passage, and was not asked before. What is dropped is counted by reason. The same command
    again costs no call, and goes on where a stopped one stopped.

    Exit status: 0 done; 1 done, but chunks have no usable reply, or nothing was kept and nothing
    written; 2 wrong usage; 3 the engine cannot be used; 130 interrupted.
    """
    check_output(out, [engine], replaces=True)
    found, report = _made(
        open_corpus(index),
        load_engine(engine, DownloadProgress()),
        QuestionOptions(**options),
        not no_cache and (store or True),
        SendPolicy(**send),
    )
    _write(out, found)
    if as_json:
        display.json_line(report, to_stderr=out == "-")
    else:
        display_corpus.question_report(report, out)
    raise typer.Exit(report.exit_status)


def _made(
    corpus: Corpus, engine: Engine, options: QuestionOptions, cache: bool | str, send: SendPolicy
) -> tuple[list[Question], QuestionReport]:
    """Make questions.

    Raises:
        InterruptedRunError: the user stopped it.
    """
    try:
        return make_questions(corpus, engine, options, cache=cache, send=send, progress=True)
    except KeyboardInterrupt:
        raise InterruptedRunError(GO_ON) from None


def _write(out: str, found: list[Question]) -> None:
    if out == "-":
        for question in found:
            display.json_line(question)
    elif found:
        write_questions(out, found)


MarkerOption = Annotated[
    str,
    option("--engine", "-e", metavar="URI", help="Ask this model about what is left undecided."),
]


@app.command()
@with_fields
def quiz(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="Questions, as `plaudit corpus questions` writes.")
    ],
    options: Annotated[Values, Fields(QuizOptions)],
    engine: MarkerOption = "none:",
    store: StoreOption = None,
    as_json: Annotated[bool, option("--json", help="Print the score as JSON.")] = False,
) -> None:
    """Answer questions yourself, and see whether you are right.

    An empty line skips a question; the end of the input, or Ctrl-C, ends the quiz.
    """
    if source == "-":
        raise UsageError("the answers come from standard input: give the questions as a file")
    picked = read_quiz(source, QuizOptions(**options))
    asked = load_engine(engine, DownloadProgress())
    _hold(picked, Judge("verify", engine=asked, cache=store or True), as_json)


def _hold(picked: list[Question], judge: Judge, as_json: bool) -> None:
    marks, interrupted = Marks(), False
    show = display_corpus.Quiz(len(picked), to_stderr=as_json)
    try:
        with judge:
            for marked in hold_quiz(picked, show.ask, judge):
                marks.add(marked)
                show.outcome(marked)
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        display.json_line(marks)
    else:
        show.marks(marks)
    if interrupted:
        sys.stdout.flush()
        raise typer.Exit(InterruptedRunError.exit_status)
