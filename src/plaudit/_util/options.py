"""How the field of a configuration appears on the command line and in the docs.

::

    class Options(msgspec.Struct):
        votes: Annotated[int, Range(1, 1000), Help("Most judgements.", "Decision")] = 1
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

import msgspec

from plaudit._util.ranges import Range
from plaudit.types import Json

Panel = Literal[
    "Input",
    "Engine",
    "Agent",
    "Prompt",
    "Decision",
    "Pairs",
    "Rewards",
    "Tokens",
    "Load",
    "Store",
    "Output",
]
"""A group of options in the help, in the order of the help."""


class Help(NamedTuple):
    """The text of an option; its name, default and range are those of the field."""

    help: str
    """One or two sentences, in Markdown."""
    panel: Panel | None = None
    """None: the command is too short for panels."""
    metavar: str = ""
    """What stands for the value in the help; empty: a word for the field's type."""
    flags: tuple[str, ...] = ()
    """Names on the command line; empty: `--field-name`, or `--no-field-name` of a field that is on
    by default. `("--on/--off",)`: a switch with both names."""
    read: Callable[[str], Any] | None = None
    """Reads what the user types, such as `20GB`; None: the field's type says how."""
    rare: bool = False
    """Whether the option comes after the others of its panel."""


TopP = Annotated[float, Range(0, 1), Help("Nucleus of the sampling.", "Engine", "P", rare=True)]
Generation = Annotated[
    dict[str, Json],
    Help(
        "A further generation parameter, sent as it is; may be repeated.",
        "Engine",
        "K=V",
        rare=True,
    ),
]


class Described(NamedTuple):
    """A field that is an option."""

    name: str
    hint: Any
    """The field's type, without what it is annotated with."""
    default: Any
    """None where the default is no plain value."""
    option: Help
    range: Range | None


def described(form: type[msgspec.Struct]) -> Iterator[Described]:
    """Yield the fields of a configuration that are options."""
    hints = get_type_hints(form, include_extras=True)
    for field in msgspec.structs.fields(form):
        hint, *extras = get_args(hints[field.name]) or (hints[field.name],)
        option = next((extra for extra in extras if isinstance(extra, Help)), None)
        if option is None:
            continue
        allowed = next((extra for extra in extras if isinstance(extra, Range)), None)
        plain = isinstance(field.default, bool | int | float | str)
        default = field.default if plain else None
        yield Described(field.name, hint, default, option, allowed)
