"""`plaudit corpus`: documents made searchable, and questions made from them."""

import sys
from typing import Annotated, cast, get_args

import typer

from plaudit.cli import display, display_corpus
from plaudit.cli.options import (
    Fields,
    JsonOption,
    NoCacheOption,
    StoreOption,
    Values,
    WriterOption,
    option,
    with_fields,
)
from plaudit.cli.running import GO_ON
from plaudit.corpus.build import build_corpus
from plaudit.corpus.index import open_corpus
from plaudit.corpus.making import QuestionOptions, make_questions
from plaudit.corpus.questions import (
    Question,
    Split,
    pick_questions,
    read_questions,
    write_questions,
)
from plaudit.corpus.quiz import Marks, hold_quiz
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


@app.command()
def build(
    documents: Annotated[
        list[str],
        typer.Argument(
            metavar="DOCS...",
            help="Markdown, text, HTML, PDF, JSON Lines (`text`, and perhaps `id` and `title`), "
            "and folders of them.",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="INDEX", help="The folder of the index.")
    ],
    chunk_size: Annotated[
        int, typer.Option(min=20, metavar="N", help="Most characters of a chunk.")
    ] = 1000,
    overlap: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Characters that a chunk repeats from the one before."
        ),
    ] = 0,
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings",
            help="Search by embeddings too, with the model of plaudit\\[embeddings].",
        ),
    ] = False,
    follow_links: Annotated[
        bool,
        typer.Option(
            "--follow-links", help="In folders, also read links to files outside of them."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Cut documents into chunks and make an index that can be searched.

    The same command again takes over what did not change, reads what did, and drops what is not
    there any more.

    Exit status: 0 done; 1 done, but something could not be read; 2 wrong usage, or nothing could be
    read; 130 interrupted.
    """
    try:
        report = build_corpus(
            documents,
            out,
            chunk_size=chunk_size,
            overlap=overlap,
            embed=embeddings,
            follow_links=follow_links,
        )
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line each.")] = False,
) -> None:
    """Show the chunks that are most about QUERY, the best first."""
    hits = open_corpus(index).search(query, number)
    if as_json:
        for hit in hits:
            display.json_line(display_corpus.hit_row(hit))
    else:
        display_corpus.hits(hits)


@app.command()
@with_fields
def questions(
    index: IndexArgument,
    send: Annotated[Values, Fields(SendPolicy, "timeout", "concurrency")],
    out: Annotated[
        str,
        option(
            "--out", "-o", panel="Output", metavar="FILE", help="Write the questions here, or - ."
        ),
    ],
    engine: WriterOption = "local",
    per_chunk: Annotated[
        int,
        option(
            "--per-chunk", panel="Input", min=1, metavar="N", help="Most questions about a chunk."
        ),
    ] = 2,
    limit: Annotated[
        int | None,
        option(
            "--limit",
            panel="Input",
            min=1,
            metavar="CHUNKS",
            help="Ask about so many chunks, chosen by the seed.",
        ),
    ] = None,
    seed: Annotated[
        int,
        option(
            "--seed",
            panel="Input",
            metavar="N",
            help="Seed of the split and of the choice of chunks.",
        ),
    ] = 42,
    test_fraction: Annotated[
        float,
        option(
            "--test-fraction",
            panel="Input",
            min=0,
            max=1,
            metavar="P",
            help="Chance of a chunk to be on the test side.",
        ),
    ] = 0.1,
    max_tokens: Annotated[
        int,
        option("--max-tokens", panel="Engine", min=1, metavar="N", help="Most tokens of a reply."),
    ] = 768,
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
    options = QuestionOptions(
        per_chunk=per_chunk,
        limit=limit,
        seed=seed,
        test_fraction=test_fraction,
        max_tokens=max_tokens,
    )
    corpus, asked = open_corpus(index), load_engine(engine, DownloadProgress())
    cache = not no_cache and (store or True)
    try:
        found, report = make_questions(
            corpus, asked, options, cache=cache, send=SendPolicy(**send), progress=True
        )
    except KeyboardInterrupt:
        raise InterruptedRunError(GO_ON) from None
    _write(out, found)
    if as_json:
        display.json_line(report, to_stderr=out == "-")
    else:
        display_corpus.question_report(report, out)
    raise typer.Exit(report.exit_status)


def _write(out: str, found: list[Question]) -> None:
    if out == "-":
        for question in found:
            display.json_line(question)
    elif found:
        write_questions(out, found)


@app.command()
def quiz(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="Questions, as `plaudit corpus questions` writes.")
    ],
    number: Annotated[
        int, typer.Option("--count", "-n", min=1, metavar="N", help="How many questions.")
    ] = 10,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the choice.")] = 42,
    split: Annotated[
        str | None, typer.Option(metavar="SIDE", help="Only from `train` or `test`.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine", "-e", metavar="URI", help="Ask this model about what is left undecided."
        ),
    ] = "none:",
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the score as JSON.")] = False,
) -> None:
    """Answer questions yourself, and see whether you are right.

    An empty line skips a question; the end of the input, or Ctrl-C, ends the quiz.
    """
    if source == "-":
        raise UsageError("the answers come from standard input: give the questions as a file")
    if split is not None and split not in get_args(Split):
        raise UsageError(f"--split must be train or test, not {split!r}")
    found = read_questions(source, split=cast("Split | None", split))
    answerable = [question for question in found if question.references]
    if not answerable:
        raise UsageError(f"no question of {source} has an answer to compare with")
    asked = load_engine(engine, DownloadProgress())
    judge = Judge("verify", engine=asked, cache=store or True)
    _hold(pick_questions(answerable, number, seed=seed), judge, as_json)


def _hold(picked: list[Question], judge: Judge, as_json: bool) -> None:
    marks, interrupted = Marks(), False
    show = display_corpus.Quiz(len(picked), to_stderr=as_json)
    try:
        for marked in hold_quiz(picked, show.ask, judge):
            marks.add(marked)
            show.outcome(marked)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        judge.close()
    if as_json:
        display.json_line(marks)
    else:
        show.marks(marks)
    if interrupted:
        sys.stdout.flush()
        raise typer.Exit(InterruptedRunError.exit_status)
