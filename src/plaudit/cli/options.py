"""Options of commands: made from the fields of configurations, and those that commands share."""

import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec
import typer
from typer.models import ArgumentInfo

from plaudit._util.choices import alternatives, choices_of
from plaudit._util.options import Described, Panel, described
from plaudit._util.ranges import SECONDS, Range, check_number
from plaudit.errors import UsageError
from plaudit.runs.cached import CachePolicy

_ARGUMENTS = re.compile(
    r"\b(cache|readout|mode|gate|calibration|votes|all_votes|temperature|template|shots|pool|select"
    r"|shot_template|feedback_template|criteria|max_per_turn)=(?:\"(\w+)\"|([A-Z]+))?(?=[\s;,.)]|$)"
)
"""Arguments that errors name, as Python users write them: `cache=PATH`, `readout="json"`."""

RARE = "rare"
"""Annotates an option that comes after the others of its panel."""
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
NoCacheOption = Annotated[
    bool, option("--no-cache", help="Neither read nor keep replies.", panel="Store")
]
JsonOption = Annotated[bool, option("--json", help="Print the summary as JSON.", panel="Output")]
RowsOption = Annotated[bool, option("--json", help="Print JSON, a line each.", panel="Output")]


def with_options(message: str) -> str:
    """Return a message that names arguments of Python with the options of the command line."""

    def option_of(found: re.Match[str]) -> str:
        name, value = found[1].replace("_", "-"), found[2] or found[3]
        flag = "--store" if name == "cache" else f"--{name}"
        return f"{flag} {value}" if value else flag

    return _ARGUMENTS.sub(option_of, message)


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

    def parameters(self, group: str) -> Iterator[inspect.Parameter]:
        """Yield the parameters of the command; two groups may have fields of one name."""
        return (_parameter(field, f"{group}_{field.name}") for field in self._fields)

    def take(self, group: str, given: Values) -> Values:
        """Take the values of the fields out of those of a command.

        Raises:
            UsageError: a number is out of its range, or a value cannot be read.
        """
        return {one.name: _value(one, given.pop(f"{group}_{one.name}")) for one in self._fields}


def with_fields(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command that has an option for each field of its `Fields` parameters.

    Where every option has a panel, the options come in the order of the panels, and within one in
    that of the parameters.
    """
    groups: dict[str, Fields] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        found = [one for one in get_args(parameter.annotation) if isinstance(one, Fields)]
        groups.update((parameter.name, one) for one in found)
        made = [made for one in found for made in one.parameters(parameter.name)]
        parameters += made if found else [parameter]
    if all(map(_has_panel, parameters)):
        parameters.sort(key=_place)
    parameters = [one.replace(kind=one.KEYWORD_ONLY) for one in parameters]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        taken = {name: fields.take(name, given) for name, fields in groups.items()}
        function(**given, **taken)

    command.__dict__["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def cache_policy(values: Values) -> CachePolicy:
    """Return how stored replies are used: with `--no-cache` they are not read either."""
    return CachePolicy(**{**values, "read": values["read"] and values["write"]})


def _has_panel(parameter: inspect.Parameter) -> bool:
    """Whether a parameter is an argument, or an option in a panel."""
    info = get_args(parameter.annotation)[1]
    return isinstance(info, ArgumentInfo) or info.rich_help_panel is not None


def _place(parameter: inspect.Parameter) -> tuple[int, bool]:
    """Return where a parameter stands in the help: arguments, then panel by panel."""
    info, *more = get_args(parameter.annotation)[1:]
    panels = get_args(Panel)
    place = -1 if isinstance(info, ArgumentInfo) else panels.index(info.rich_help_panel)
    return place, RARE in more


def _parameter(field: Described, name: str) -> inspect.Parameter:
    kind, choices = _typed(field), choices_of(field.hint)
    info = option(
        *_flags(field),
        help=field.option.help + _shown_range(field.range),
        panel=field.option.panel,
        metavar=field.option.metavar or _METAVARS.get(kind, "HOW" if choices else None),
        autocompletion=completer(choices) if choices else None,
    )
    default = False if _is_inverted(field) else field.default
    annotation = kind if default is not None else kind | None
    marks = [RARE] if field.option.rare else []
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation, info, *marks],
    )


def _flags(field: Described) -> tuple[str, ...]:
    name = field.name.replace("_", "-")
    return field.option.flags or (f"--no-{name}" if field.default is True else f"--{name}",)


def _is_inverted(field: Described) -> bool:
    """Whether the option turns off what is on by default."""
    return field.default is True and not any("/" in flag for flag in field.option.flags)


def _shown_range(allowed: Range | None) -> str:
    """Return the ends of a range for the help, where they are not as good as none."""
    if allowed is None or allowed.most >= SECONDS:
        return ""
    first, last = "(" if allowed.above else "\\[", ")" if allowed.below else "]"
    return f" {first}{allowed.least:g}..{allowed.most:g}{last}"


# Values

_METAVARS: Mapping[Any, str] = {int: "N", float: "X"}


def _typed(field: Described) -> Any:
    """Return the type of what a user types: a number, a switch, a text, or several texts."""
    members = list(alternatives(field.hint))
    number = next((one for one in (bool, int, float) if one in members), None)
    several = any(get_origin(one) in (dict, Mapping, list) for one in members)
    if field.option.read is not None:
        return str
    return number or (list[str] if several else str)


def _value(field: Described, given: Any) -> Any:
    flag, members = _flags(field)[0], list(alternatives(field.hint))
    if _is_inverted(field):
        return not given
    if field.option.read is not None:
        return None if given is None else field.option.read(given)
    if field.range is not None and given is not None:
        check_number(flag, given, field.range)
    if Mapping[str, str] in members:
        return _names(flag, field.option.metavar, given or [])
    if int in members or not any(get_origin(one) is dict for one in members):
        return given
    return _by_mode(flag, given) if str in members else _by_name(flag, given or [])


def _names(flag: str, form: str, pairs: list[str]) -> dict[str, str]:
    """Read pairs of two names.

    Raises:
        UsageError: a pair has no `=`, or nothing on a side of it.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name or not value:
            raise UsageError(f"{flag} {pair!r}: write it as {form}")
        found[name] = value
    return found


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
