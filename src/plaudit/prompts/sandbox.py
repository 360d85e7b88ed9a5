"""A Jinja sandbox in which no single step of a template makes a huge value.

Jinja's own sandbox keeps a template from reaching the interpreter. This one also bounds what a
template computes: a width, a count or an exponent is at most `MOST`, a text or a list at most
`LARGEST` long. It bounds no time: a template can still loop for long.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any, TypeVar, cast

from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

T = TypeVar("T")

MOST = 100_000
"""Greatest number that a template may multiply by, raise to, or pad to."""
LARGEST = 2**24
"""Most characters or items of a value that a template makes."""

_EXPONENT = 64
_SIZED = (str, list, tuple, dict)
_SURROUNDINGS = (Environment, Context, nodes.EvalContext)
"""What some filters get before their own arguments."""
_WIDTH = re.compile(r"\d{6,}")
"""A width of more than `MOST` in a format."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, with bounds on the size of values."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})
    written: "type[Written]"
    """What the code of templates calls for a buffer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.filters = {name: _bounded(function) for name, function in self.filters.items()}
        self.globals["lipsum"] = _bounded(self.globals["lipsum"])

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute an operator whose result can be far larger than its operands."""
        if operator in ("*", "**"):
            _check_product(operator, left, right)
        elif operator == "%" and isinstance(left, str):
            _check_format(left)
        return _checked(super().call_binop(context, operator, left, right))

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function or a method."""
        _check_arguments(function, args, kwargs)
        return _checked(super().call(context, function, *args, **kwargs))

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """Join what a template, a block or a macro writes."""
        found = Written()
        for part in parts:
            found.append(part)
        return "".join(found)

    def concat_values(self, values: tuple[Any, ...]) -> str:
        """Join the operands of `~`."""
        return _checked("".join(map(str, values)))


class Written(list[str]):
    """What a template, a block or a macro has written so far."""

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def append(self, part: str, /) -> None:
        """Take one more part."""
        self._length += len(part)
        if self._length > LARGEST:
            raise SecurityError(f"a template writes more than {LARGEST} characters")
        super().append(part)

    def extend(self, parts: Iterable[str], /) -> None:
        """Take more parts."""
        for part in parts:
            self.append(part)


class _Generator(CodeGenerator):
    """Sends `~`, and what blocks and macros write, through the environment."""

    def buffer(self, frame: Frame) -> None:
        frame.buffer = self.temporary_identifier()
        self.writeline(f"{frame.buffer} = environment.written()")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.concat_values((")
        for argument in node.nodes:
            self.visit(argument, frame)
            self.write(", ")
        self.write("))")


BoundedEnvironment.code_generator_class = _Generator
BoundedEnvironment.written = Written


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _check_arguments(function, args, kwargs)
        return _checked(function(*args, **kwargs))

    return bounded


def _check_product(operator: str, left: Any, right: Any) -> None:
    if operator == "**":
        if all(isinstance(value, int) for value in (left, right)) and (
            abs(left) > MOST or right > _EXPONENT
        ):
            raise SecurityError(f"{left} ** {right} is too large for a template")
        return
    for value, count in ((left, right), (right, left)):
        if isinstance(count, int) and isinstance(value, Sized) and len(value) * count > LARGEST:
            raise SecurityError(f"a value repeated {count} times is too large for a template")


def _check_format(form: str) -> None:
    if _WIDTH.search(form):
        raise SecurityError(f"a format has a width of more than {MOST}")


def _check_arguments(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that would make a huge value, for filters and for methods of texts."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, int) and value > MOST:
            raise SecurityError(f"{value} is too large for an argument in a template")
    function = inspect.unwrap(function)
    name = getattr(function, "__name__", "").removeprefix("sync_").removeprefix("do_")
    of = getattr(function, "__self__", None)
    given = [value for value in args if not isinstance(value, _SURROUNDINGS)]
    values = [of, *given] if isinstance(of, str) else given
    if name in ("format", "format_map") and values:
        _check_format(str(values[0]))
    elif name == "replace" and len(values) > 2:
        whole, old, new = map(str, values[:3])
        if (whole.count(old) if old else len(whole) + 1) * len(new) > LARGEST:
            raise SecurityError("a replacement is too large for a template")
    elif name == "join" and values:
        items, mark = (*values, "")[:2]
        if isinstance(of, str):
            items, mark = mark, items
        if isinstance(items, list | tuple):
            texts = cast("Sequence[Any]", items)
            if sum(len(str(one)) + len(str(mark)) for one in texts) > LARGEST:
                raise SecurityError("a joined text is too large for a template")


def _checked(value: T) -> T:
    if _length(value) > LARGEST:
        raise SecurityError(f"a value of more than {LARGEST} characters or items in a template")
    return value


def _length(value: Any) -> int:
    return len(cast("Sized", value)) if isinstance(value, _SIZED) else 0
