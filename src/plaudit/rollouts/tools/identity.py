"""What the results of a Python function depend on, as far as its code shows it.

The hash covers the function's source and all that it reaches by name: functions, classes and
constants of its own module and of the user's other ones, defaults, closures, and the state of the
object whose method it is; each of these in turn. It ends at the standard library, at installed
packages and at plaudit, of which only names count. It does not see what a function reads when it
runs (files, networks, environment variables), nor what it looks up by a text.
"""

import datetime
import dis
import functools
import hashlib
import importlib.util
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, cast
from uuid import UUID

_MOST_VALUES = 100_000
"""Values that count; of a larger table only the size does."""
_DEEPEST = 100
"""Values within values that count."""
_PLAIN = (
    bool, int, float, complex, str, bytes, type(None), type(...), range, slice,
    Decimal, Fraction, UUID, PurePath,
    datetime.date, datetime.time, datetime.timedelta, datetime.timezone,
)  # fmt: skip
"""Types whose `repr` says all of a value, in every process the same."""
_INSTALLED = tuple(
    Path(sysconfig.get_path(name)).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})


def code_hash(function: Any, routine: Any) -> str:
    """Return 12 hexadecimal digits of all that a function's code shows.

    Args:
        function: what is called: a function, a method, a partial, or an object with `__call__`.
        routine: the routine that then runs; its package counts as the user's own.
    """
    walk = _Walk(getattr(routine, "__module__", None) or "")
    walk.value(function)
    parts = "\0".join([_source(routine), *walk.parts])
    return hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()[:12]


class _Walk:
    """Goes from a value to all that it reaches; `parts` says what was found, in a fixed order."""

    def __init__(self, module: str) -> None:
        self.parts: list[str] = []
        self._package = module.partition(".")[0]
        self._seen: dict[int, Any] = {}  # By id; holding the values, so that no id comes again.
        self._depth = 0

    def value(self, value: Any) -> None:
        """Go through a value of any kind."""
        if len(self.parts) >= _MOST_VALUES or self._depth >= _DEEPEST:
            return
        if isinstance(value, _PLAIN):
            self.parts.append(f"{type(value).__name__} {value!r}")  # pyright: ignore[reportUnknownArgumentType]
        elif id(value) in self._seen:
            self.parts.append("again")
        else:
            self._seen[id(value)] = value
            self._depth += 1
            self._held(value)
            self._depth -= 1

    def _held(self, value: Any) -> None:
        match value:
            case FunctionType():
                self._function(value)
            case type():
                self._class(cast("type[Any]", value))
            case ModuleType() | BuiltinFunctionType():
                self.parts.append(f"{type(value).__name__} {value.__name__}")
            case _ if (inner := _inner(value)) is not None:
                kind = type(value).__name__
                self.parts.append(f"{kind} {len(inner)}")
                self._all(inner)
            case _:
                self._object(value)

    def _all(self, values: Iterable[Any]) -> None:
        for value in values:
            self.value(value)

    def _named(self, values: Iterable[tuple[str, Any]]) -> None:
        for name, value in values:
            self.parts.append(name)
            self.value(value)

    def _function(self, function: FunctionType) -> None:
        if not self._is_own(function.__module__):
            self.parts.append(f"function {function.__module__}.{function.__qualname__}")
            return
        self.parts.append(_source(function))
        self._all((function.__defaults__, function.__kwdefaults__))
        self.value(vars(function).get("__wrapped__"))
        self._all(found for cell in function.__closure__ or () for found in _contents(cell))
        self._named(self._reached(function.__code__, function.__globals__))

    def _class(self, kind: type[Any]) -> None:
        if not self._is_own(kind.__module__):
            self.parts.append(f"class {kind.__module__}.{kind.__qualname__}")
            return
        self.parts.append(_source(kind))
        self._all(kind.__bases__)
        members = ((name, _unbound(member)) for name, member in sorted(vars(kind).items()))
        self._named(one for one in members if not _is_dunder(one[0]) or callable(one[1]))

    def _object(self, value: Any) -> None:
        kind = cast("type[Any]", type(value))
        if not self._is_own(kind.__module__):
            self.parts.append(f"object {kind.__module__}.{kind.__qualname__}")
            return
        self.value(kind)
        self._named(sorted(_state(value).items()))

    def _reached(self, code: CodeType, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield what code, and code within it, reaches by name."""
        used = {name for one in _codes(code) for name in one.co_names if not _is_dunder(name)}
        for name in sorted(used & names.keys()):
            yield name, names[name]
            yield from self._parts_of(names[name], used, set())
        for name in sorted(set(_imports(code))):
            yield f"import {name}", self._file_hash(name)

    def _parts_of(self, module: Any, used: set[str], seen: set[int]) -> Iterator[tuple[str, Any]]:
        """Yield what is used of one of the user's modules, and of its modules in turn."""
        if not isinstance(module, ModuleType) or not self._is_own(module.__name__):
            return
        seen.add(id(module))
        for name in sorted(used & vars(module).keys()):
            value = vars(module)[name]
            yield name, value
            if id(value) not in seen:
                yield from self._parts_of(value, used, seen)

    def _file_hash(self, module: str) -> str:
        """Hash the file of one of the user's modules, which is not imported for that."""
        path = _file_of(module) if self._is_own(module) else None
        if path is None or not path.is_file():
            return ""
        own = module.partition(".")[0] == self._package or not _is_installed(path)
        return hashlib.sha256(path.read_bytes()).hexdigest() if own else ""

    def _is_own(self, module: str | None) -> bool:
        """Say whether a module is the user's: of no standard library and no installed package."""
        top = (module or "").partition(".")[0]
        if top == self._package:
            return True
        if top in sys.stdlib_module_names or top == "plaudit":
            return False
        file = getattr(sys.modules.get(module or ""), "__file__", None)
        return file is None or not _is_installed(Path(file))


def _inner(value: Any) -> list[Any] | None:
    """Return what a value that is no object of the user's own is made of; None: unknown."""
    match value:
        case list() | tuple():
            return list(cast("Iterable[Any]", value))
        case set() | frozenset():
            return sorted(cast("Iterable[Any]", value), key=repr)
        case dict():
            return [part for pair in cast("dict[Any, Any]", value).items() for part in pair]
        case functools.partial():
            found = cast("functools.partial[Any]", value)
            return [found.func, found.args, found.keywords]
        case MethodType():
            return [value.__func__, value.__self__]
        case re.Pattern():
            found = cast("re.Pattern[Any]", value)
            return [found.pattern, found.flags]
        case Enum():
            return [type(value), value.name]
        case _:
            held: Any = getattr(value, "__dict__", None)
            wrapped = isinstance(held, dict) and "__wrapped__" in held  # By `functools.cache`.
            return [held["__wrapped__"]] if wrapped else None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _imports(code: CodeType) -> Iterator[str]:
    """Yield the names of modules that code imports when it runs, but for relative ones."""
    for one in _codes(code):
        for step in dis.get_instructions(one):
            if step.opname == "IMPORT_NAME" and step.argval:
                yield step.argval


def _file_of(module: str) -> Path | None:
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # Of a module without a spec, such as `__main__`.
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    if not rest:
        return path
    path = path.parent.joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_installed(path: Path) -> bool:
    whole = path.resolve()
    inside = any(whole.is_relative_to(place) for place in _INSTALLED)
    return inside or bool(_PACKAGE_FOLDERS & set(whole.parts))


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _contents(cell: Any) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # Not filled yet.
        return ()


def _unbound(member: Any) -> Any:
    """Return the function of a static or class method, and the getter of a property."""
    found = getattr(member, "__func__", member)
    return found.fget if isinstance(found, property) else found


def _state(value: Any) -> dict[str, Any]:
    """Return the attributes of an object of one of the user's classes."""
    kind = cast("type[Any]", type(value))
    fields: Any = getattr(kind, "__struct_fields__", None) or getattr(kind, "__slots__", ())
    names = (fields,) if isinstance(fields, str) else fields
    found = {name: getattr(value, name) for name in names if hasattr(value, name)}
    return found | getattr(value, "__dict__", {})


def _source(found: Any) -> str:
    """Return the source of a function or class; the compiled code where there is none."""
    code = getattr(getattr(found, "__func__", found), "__code__", None)
    try:  # Of the code itself: of a decorated function it would be that of the one within.
        return inspect.getsource(found if code is None else code)
    except (OSError, TypeError):
        pass
    if code is None:
        return ""
    return repr([(one.co_code.hex(), *map(_literal, one.co_consts)) for one in _codes(code)])


def _literal(constant: Any) -> str:
    """Return a constant of compiled code as text; sets come in another order in each process."""
    if isinstance(constant, CodeType):
        return "code"
    if isinstance(constant, frozenset):
        return repr(sorted(map(repr, cast("frozenset[Any]", constant))))
    return repr(constant)
