"""Options of commands: made from the fields of configurations, and those that commands share."""

import functools
import inspect
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import typer
from typer.models import ArgumentInfo

from plaudit._util.options import Described, Panel, described
from plaudit._util.ranges import SECONDS, Range, check_number
from plaudit.errors import UsageError
from plaudit.runs.cached import CachePolicy

S = TypeVar("S", bound=msgspec.Struct)

RARE = "rare"
"""Annotates an option that comes after the others of its panel."""
_FIELD = "field"

Values = dict[str, Any]
"""Values of a configuration's fields, as they were given."""

_WRITERS = (
    "`local` (embedded, no key, no GPU), `gguf:PATH`, `hf:OWNER/REPO/FILE`, `vllm:MODEL@URL`, "
    "`sglang:`, `openai:`, `together:`, `mistral:`, `gemini:`, `grok:`, `fireworks:`, "
    "`anthropic:`, `scripted:PATH`"
)
_KEYS = "Keys come from the provider's environment variable."
WRITER_HELP = f"{_WRITERS}. {_KEYS}"
ENGINE_HELP = f"{_WRITERS}; a reward model: `vllm-rm:MODEL@URL`, `sglang-rm:`. {_KEYS}"


def option(*flags: str, help: str, panel: Panel | None = None, **more: Any) -> Any:
    """Return an option that is no field of a configuration."""
    return typer.Option(*flags, help=help, rich_help_panel=panel, **more)


WriterOption = Annotated[
    str, option("--engine", "-e", metavar="URI", help=WRITER_HELP, panel="Engine")
]
"""An engine that writes text, which reward models do not."""
StoreOption = Annotated[
    str | None,
    option(
        "--store",
        metavar="PATH",
        help="The store of replies and runs, on a local disk.",
        panel="Store",
    ),
]
PricesOption = Annotated[
    str | None,
    option(
        "--prices",
        metavar="FILE",
        help="Prices by model, read before the price list (TOML or JSON).",
        panel="Output",
    ),
    RARE,
]
StrictOption = Annotated[
    bool, option("--strict", help="Stop at the first malformed row.", panel="Input")
]
NoCacheOption = Annotated[
    bool, option("--no-cache", help="Neither read nor keep replies.", panel="Store")
]
JsonOption = Annotated[bool, option("--json", help="Print the summary as JSON.", panel="Output")]
RowsOption = Annotated[bool, option("--json", help="Print JSON, a line each.", panel="Output")]

ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=COLUMN",
        help="Another name of a column, such as prompt=instruction; may be repeated.",
    ),
]


def parse_columns(pairs: list[str] | None) -> dict[str, str]:
    """Read `NAME=COLUMN` pairs.

    Raises:
        UsageError: one has no `=`, or nothing on a side of it.
    """
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, _, column = pair.partition("=")
        if not name or not column:
            raise UsageError(f"--column {pair!r}: write it as NAME=COLUMN")
        found[name] = column
    return found


def completer(choices: Collection[str]) -> Callable[[str], list[str]]:
    """Return what completes one of some words in a shell."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


class Fields:
    """The fields of a configuration that a command takes as options.

    It annotates a parameter of a command, which then receives their values by name::

        send: Annotated[Values, Fields(SendPolicy, timeout=300.0)]
    """

    def __init__(self, form: type[msgspec.Struct], *names: str, **defaults: Any) -> None:
        """Take all fields that are options, or the named ones; defaults replace the fields' own."""
        known = {one.name: one for one in described(form)}
        self._fields = [
            field._replace(default=defaults.get(name, field.default))
            for name, field in known.items()
            if not names or name in names
        ]

    @property
    def parameters(self) -> Iterator[inspect.Parameter]:
        """The parameters of the command."""
        return map(_parameter, self._fields)

    def take(self, given: Values) -> Values:
        """Take the values of the fields out of those of a command.

        Raises:
            UsageError: a number is out of its range, or a value cannot be read.
        """
        return {field.name: _value(field, given.pop(field.name)) for field in self._fields}


def with_fields(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command that has an option for each field of its `Fields` parameters.

    Where every option has a panel, the options come in the order of the panels.
    """
    groups: dict[str, Fields] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        found = [one for one in get_args(parameter.annotation) if isinstance(one, Fields)]
        groups.update((parameter.name, one) for one in found)
        made = [made for one in found for made in one.parameters]
        parameters += made if found else [parameter]
    if all(map(_has_panel, parameters)):
        parameters.sort(key=_place)
    parameters = [one.replace(kind=one.KEYWORD_ONLY) for one in parameters]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        taken = {name: fields.take(given) for name, fields in groups.items()}
        function(**given, **taken)

    command.__dict__["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def build(form: type[S], values: Mapping[str, Any], **more: Any) -> S:
    """Make a configuration of options.

    Raises:
        UsageError: a value is none of its field's choices.
    """
    for field in described(form):
        value, allowed = values.get(field.name), _choices(field.hint)
        if allowed and value is not None and value not in allowed:
            flag = _flags(field)[0]
            raise UsageError(f"{flag} {value!r}: there are {', '.join(allowed)}")
    return form(**values, **more)


def cache_policy(values: Values) -> CachePolicy:
    """Return how stored replies are used: with `--no-cache` they are not read either."""
    return CachePolicy(**{**values, "read": values["read"] and values["write"]})


def _has_panel(parameter: inspect.Parameter) -> bool:
    """Whether a parameter is an argument, or an option in a panel."""
    info = get_args(parameter.annotation)[1]
    return isinstance(info, ArgumentInfo) or info.rich_help_panel is not None


def _place(parameter: inspect.Parameter) -> tuple[int, bool, bool]:
    """Return where a parameter stands in the help: arguments, then panel by panel."""
    info, *more = get_args(parameter.annotation)[1:]
    panels = get_args(Panel)
    place = -1 if isinstance(info, ArgumentInfo) else panels.index(info.rich_help_panel)
    return place, RARE in more, _FIELD in more


def _parameter(field: Described) -> inspect.Parameter:
    kind, choices = _typed(field.hint), _choices(field.hint)
    inverted = field.default is True
    info = option(
        *_flags(field),
        help=field.option.help + _shown_range(field.range),
        panel=field.option.panel,
        metavar=field.option.metavar or _METAVARS.get(kind, "HOW" if choices else None),
        autocompletion=completer(choices) if choices else None,
    )
    default = False if inverted else field.default
    annotation = kind if default is not None else kind | None
    marks = [_FIELD, *([RARE] if field.option.rare else [])]
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation, info, *marks],
    )


def _flags(field: Described) -> tuple[str, ...]:
    name = field.name.replace("_", "-")
    return field.option.flags or (f"--no-{name}" if field.default is True else f"--{name}",)


def _shown_range(allowed: Range | None) -> str:
    """Return the ends of a range for the help, where they are not as good as none."""
    if allowed is None or allowed.most >= SECONDS:
        return ""
    return f" \\[{allowed.least:g}..{allowed.most:g}]"


# Values

_METAVARS: Mapping[Any, str] = {int: "N", float: "X"}


def _members(hint: Any) -> list[Any]:
    """Return the types that a type is a union of, None left out."""
    if get_origin(hint) in (Union, types.UnionType):
        return [one for part in get_args(hint) for one in _members(part)]
    return [] if hint is type(None) else [hint]


def _choices(hint: Any) -> list[str]:
    return [
        choice for one in _members(hint) if get_origin(one) is Literal for choice in get_args(one)
    ]


def _typed(hint: Any) -> Any:
    """Return the type of what a user types: a number, a switch, a text, or several texts."""
    members = _members(hint)
    number = next((one for one in (bool, int, float) if one in members), None)
    several = _has_dict(hint) or any(get_origin(one) is list for one in members)
    return number or (list[str] if several else str)


def _has_dict(hint: Any) -> bool:
    return any(get_origin(one) is dict for one in _members(hint)) and int not in _members(hint)


def _value(field: Described, given: Any) -> Any:
    flag = _flags(field)[0]
    if field.default is True:
        return not given
    if field.range is not None and given is not None:
        check_number(flag, given, field.range)
    if not _has_dict(field.hint):
        return given
    return _by_mode(flag, given) if str in _members(field.hint) else _by_name(flag, given or [])


def _by_mode(flag: str, values: list[str] | None) -> str | dict[str, str] | None:
    """Read one FILE for the mode that is settled on, or `MODE=FILE`.

    Raises:
        UsageError: several files are for one mode.
    """
    if not values:
        return None
    by_mode: dict[str, str] = {}
    for value in values:
        mode, separator, path = value.partition("=")
        if not separator or mode not in ("chat", "completion"):
            mode, path = "", value
        if mode in by_mode or (by_mode and "" in (mode, *by_mode)):
            raise UsageError(f"{flag}: give one FILE, or chat=FILE and completion=FILE")
        by_mode[mode] = path
    return by_mode.get("") or by_mode


def _by_name(flag: str, pairs: list[str]) -> dict[str, Any]:
    """Read `K=V` pairs; a value is JSON where it parses as JSON, else text.

    Raises:
        UsageError: a pair has no `=`, or a value is nested too deeply or a number out of range.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise UsageError(f"{flag} {pair!r}: write it as name=value")
        try:
            found[name] = msgspec.json.decode(value)
        except (RecursionError, msgspec.ValidationError):
            raise UsageError(
                f"{flag} {name}: the value is nested too deeply, or a number out of range"
            ) from None
        except msgspec.DecodeError:
            found[name] = value
    return found
