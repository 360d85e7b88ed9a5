"""Options that come from the fields of a configuration."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from plaudit._util.choices import check_choices
from plaudit._util.options import Help
from plaudit._util.ranges import Range
from plaudit.cli.options import Fields, Values, with_fields, with_options
from plaudit.errors import ArgumentError, UsageError


class Options(msgspec.Struct, kw_only=True):
    votes: Annotated[int, Range(1, 9), Help("Votes.", "Decision")] = 1
    share: Annotated[float | None, Help("A share.", "Engine", "P")] = None
    swap: Annotated[bool, Help("One order only.", "Decision")] = True
    raw: Annotated[bool, Help("Raw replies.", "Output", flags=("--raw", "-r"))] = False
    form: Annotated[Literal["plain", "rich"], Help("The form.", "Output")] = "plain"
    more: Annotated[dict[str, object], Help("More.", "Engine", "K=V")] = {}
    template: Annotated[
        str | dict[str, str] | None, Help("A template.", "Prompt", "[MODE=]FILE")
    ] = None
    names: Annotated[Mapping[str, str], Help("Names.", "Input", "NAME=COLUMN")] = {}
    merge: Annotated[bool, Help("Merge.", "Input", flags=("--merge/--no-merge",))] = True
    size: Annotated[int | None, Help("A size.", "Input", "SIZE", read=len)] = None
    hidden: int = 3

    def __post_init__(self) -> None:
        check_choices(self)


TAKEN: dict[str, Values] = {}


def run(*arguments: str, fields: Fields | None = None) -> Values:
    """Return what a command with these options is given."""

    @with_fields
    def command(values: Annotated[Values, fields or Fields(Options)]) -> None:
        TAKEN["values"] = values

    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [*arguments])
    if isinstance(done.exception, UsageError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return TAKEN["values"]


def test_without_options_the_fields_have_their_defaults() -> None:
    given = run()
    assert "hidden" not in given
    assert Options(**given) == Options()


def test_values_are_read_by_the_types_of_the_fields() -> None:
    given = run("--votes", "3", "--share", "0.5", "--no-swap", "-r", "--form", "rich")
    assert Options(**given) == Options(votes=3, share=0.5, swap=False, raw=True, form="rich")


def test_pairs_are_json_where_they_can_be() -> None:
    assert run("--more", "a=1", "--more", "b=x")["more"] == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (("mine.jinja",), "mine.jinja"),
        (("chat=a.jinja", "completion=b.jinja"), {"chat": "a.jinja", "completion": "b.jinja"}),
        (("x=a.jinja",), "x=a.jinja"),
    ],
)
def test_templates_are_for_all_modes_or_by_mode(given, found) -> None:
    arguments = [part for value in given for part in ("--template", value)]
    assert run(*arguments)["template"] == found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--votes", "0"), "--votes must be in 1..9, not 0"),
        (("--more", "novalue"), "--more 'novalue': write it as name=value"),
        (("--names", "a="), "--names 'a=': write it as NAME=COLUMN"),
        (("--template", "a", "--template", "b"), "--template: give one FILE"),
    ],
)
def test_a_wrong_value_names_the_option(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match="--") as caught:
        run(*arguments)
    error = caught.value
    shown = error.as_option if isinstance(error, ArgumentError) else str(error)
    assert shown.startswith(says)


def test_a_choice_that_is_none_is_refused_with_the_choices() -> None:
    with pytest.raises(ArgumentError) as caught:
        Options(**run("--form", "odd"))
    assert caught.value.as_option == "--form is 'odd'; it can be plain or rich"


def test_names_are_texts_whatever_they_look_like() -> None:
    assert run("--names", "prompt=1", "--names", "b=x=y")["names"] == {"prompt": "1", "b": "x=y"}


def test_a_switch_can_have_both_names() -> None:
    given = [run(*arguments)["merge"] for arguments in ((), ("--merge",), ("--no-merge",))]
    assert given == [True, True, False]


def test_a_field_can_read_what_is_typed() -> None:
    assert (run()["size"], run("--size", "20GB")["size"]) == (None, 4)


def test_a_command_takes_some_fields_with_defaults_of_its_own() -> None:
    assert run(fields=Fields(Options, "votes", "raw", votes=5)) == {"votes": 5, "raw": False}


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('gives none; use readout="json"', "gives none; use --readout json"),
        ("another one with cache=PATH.", "another one with --store PATH."),
        ("all_votes= goes with votes=N", "--all-votes goes with --votes N"),
        ("leave out gate=", "leave out --gate"),
        ("it says mode=x, or cache=no", "it says mode=x, or cache=no"),
    ],
)
def test_errors_of_the_library_name_options(message: str, shown: str) -> None:
    assert with_options(message) == shown
