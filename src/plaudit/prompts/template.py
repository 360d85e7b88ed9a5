"""Prompt templates: Jinja files with a static part and a part for the sample.

A template file has two blocks. `instructions` holds the instructions and the shots: it is the same
for every sample of a run, so it comes first and servers can cache it. `sample` holds what is
judged. In completion mode they are joined; in chat mode they become the system and the user
message. A chat template that does not show the shots gets them as turns between the two. A file
without blocks is all `sample`. `{% set delimiters = [...] %}` names the strings that delimit
sections; they are broken in untrusted text.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateRuntimeError, TemplateSyntaxError, meta, nodes
from jinja2 import Template as CompiledTemplate

from plaudit._util.forks import finished_before_a_fork
from plaudit.engines.base import Mode
from plaudit.errors import TemplateError
from plaudit.prompts.sandbox import BoundedEnvironment

TemplateChoice = str | dict[Mode, str] | None
"""Path of a template for the mode that is settled on, or paths by mode."""

STATIC_VARIABLES = frozenset({"shots", "options", "readout", "criteria"})
"""What a template may use in both blocks."""


@cache
def _environment() -> BoundedEnvironment:
    return BoundedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )


class Template:
    """One checked prompt template.

    Attributes:
        name: file name or path, for messages.
        source: the text of the file; its hash is part of the fingerprint.
        delimiters: strings that delimit sections.
        fill: renders the part for one sample, where that is a text with the sample's variables in
            it and no more; else None.
        shows_shots: whether it puts the shots into its text; where it has `instructions` and does
            not, they become turns of the chat before the sample.
        has_blocks: whether it has a static part apart from the sample.
    """

    def __init__(self, source: str, name: str, variables: frozenset[str]) -> None:
        """Compile and check a template.

        Args:
            source: Jinja source.
            name: what to call it in messages.
            variables: names of the sample's fields; each must be used, and no others may be.

        Raises:
            TemplateError: the syntax is wrong, or a variable is unknown or missing.
        """
        self.name = name
        self.source = source
        self._template, tree = _compile(source, name)
        _check_variables(tree, name, variables, STATIC_VARIABLES)
        blocks = self._template.blocks.keys() - {"instructions", "sample"}
        if blocks:
            raise TemplateError(
                f"{name}: unknown block {min(blocks)!r}; a template has the blocks "
                "'instructions' and 'sample'"
            )
        if self._template.blocks and "sample" not in self._template.blocks:
            raise TemplateError(f"{name}: the block 'sample' is missing")
        self.has_blocks = bool(self._template.blocks)
        self.fill = _fill_of(tree)
        self.delimiters = _delimiters(tree, name)
        self.shows_shots = "shots" in meta.find_undeclared_variables(tree)

    def instructions(self, variables: Mapping[str, Any]) -> str:
        """Render the static part; empty for a template without blocks."""
        return self._render("instructions", variables) if self._template.blocks else ""

    def sample(self, variables: Mapping[str, Any], static: Mapping[str, Any] | None = None) -> str:
        """Render the part for one sample. Values are put in as they are and never scanned again.

        Args:
            variables: the sample's own.
            static: `STATIC_VARIABLES`, where they are not among `variables`.
        """
        if self.fill is not None:
            return self.fill(variables)
        return self._render("sample", {**(static or {}), **variables})

    def _render(self, block: str, variables: Mapping[str, Any]) -> str:
        try:
            if not self._template.blocks:
                return self._template.render(variables)
            render = self._template.blocks.get(block)
            if render is None:
                return ""
            return _environment().concat(render(self._template.new_context(dict(variables))))
        except (TemplateRuntimeError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise TemplateError(f"{self.name}: block {block!r}: {error}") from None


class Snippet:
    """One checked template for a part of a shot: the shot itself, or the reply in it.

    Attributes:
        name: file name or path, for messages.
        source: the text of the file; its hash is part of the fingerprint.
        delimiters: strings that delimit sections.
    """

    def __init__(
        self, source: str, name: str, required: frozenset[str], optional: frozenset[str]
    ) -> None:
        """Compile and check a template.

        Args:
            source: Jinja source.
            name: what to call it in messages.
            required: variables that must be used.
            optional: variables that may be used.

        Raises:
            TemplateError: the syntax is wrong, or a variable is unknown or missing.
        """
        self.name = name
        self.source = source
        self._template, tree = _compile(source, name)
        if self._template.blocks:
            raise TemplateError(f"{name}: only the template of the whole prompt has blocks")
        _check_variables(tree, name, required, optional)
        self.uses = frozenset(meta.find_undeclared_variables(tree))
        self.delimiters = _delimiters(tree, name)
        self._tree = tree

    def check_fields(self, variable: str, fields: Collection[str]) -> None:
        """Check what is taken from a variable that holds an object.

        Raises:
            TemplateError: a field that there is not; the message names file and line.
        """
        for node in self._tree.find_all((nodes.Getattr, nodes.Getitem)):
            if not isinstance(node.node, nodes.Name) or node.node.name != variable:
                continue
            key = node.attr if isinstance(node, nodes.Getattr) else _constant(node.arg)
            if isinstance(key, str) and key not in fields:
                raise TemplateError(
                    f"{self.name}:{node.lineno}: {variable} has no field {key!r}; it has "
                    + ", ".join(map(repr, fields))
                )

    def render(self, variables: Mapping[str, Any]) -> str:
        """Render it. Values are put in as they are and never scanned again."""
        try:
            return self._template.render(variables)
        except (TemplateRuntimeError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise TemplateError(f"{self.name}: {error}") from None


@finished_before_a_fork()  # Jinja compiles under a lock.
def _compile(source: str, name: str) -> tuple[CompiledTemplate, nodes.Template]:
    try:
        tree = _environment().parse(source)
        meta.find_undeclared_variables(tree)
        return _environment().from_string(source), tree
    except TemplateSyntaxError as error:
        raise TemplateError(f"{name}:{error.lineno}: {error.message}") from None
    except (RecursionError, SyntaxError, MemoryError):  # Jinja makes Python code of a template.
        raise TemplateError(f"{name}: it is nested too deeply") from None


def _check_variables(
    tree: nodes.Template, name: str, required: frozenset[str], optional: frozenset[str]
) -> None:
    used = meta.find_undeclared_variables(tree)
    for unknown in sorted(used - required - optional):
        line = next((n.lineno for n in tree.find_all(nodes.Name) if n.name == unknown), 1)
        known = ", ".join(sorted(required | optional))
        raise TemplateError(f"{name}:{line}: unknown variable {unknown!r}; known: {known}")
    for missing in sorted(required - used):
        raise TemplateError(
            f"{name}: the variable {missing!r} is never used; the judge would not see it"
        )


def _constant(node: nodes.Expr) -> Any:
    try:
        return node.as_const()
    except nodes.Impossible:
        return None


def _fill_of(tree: nodes.Template) -> Callable[[Mapping[str, Any]], str] | None:
    """Return what fills in the block `sample`, where that is text with variables and no more.

    Filling in is twenty times faster than rendering the block, and gives the same.
    """
    block = next((b for b in tree.find_all(nodes.Block) if b.name == "sample"), None)
    outputs = block.body if block is not None else []
    form, names = "", list[str]()
    for output in outputs:
        if not isinstance(output, nodes.Output):
            return None
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                form += node.data.replace("{", "{{").replace("}", "}}")
            elif isinstance(node, nodes.Name):
                form += f"{{{node.name}}}"
                names.append(node.name)
            else:
                return None
    assigned = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    own = assigned.isdisjoint(names) and STATIC_VARIABLES.isdisjoint(names)
    return form.format_map if form and own else None


def _delimiters(tree: nodes.Template, name: str) -> tuple[str, ...]:
    for node in tree.find_all(nodes.Assign):
        if isinstance(node.target, nodes.Name) and node.target.name == "delimiters":
            texts = _constant(cast("nodes.Expr", node.node))
            if not isinstance(texts, list | tuple) or not all(
                isinstance(text, str) and len(text) > 1 for text in cast("list[Any]", texts)
            ):
                raise TemplateError(
                    f"{name}:{node.lineno}: 'delimiters' must be a list of plain texts of two or "
                    "more characters"
                )
            return tuple(cast("list[str]", texts))
    return ()


@cache
@finished_before_a_fork()
def builtin(name: str) -> str:
    """Return the source of a shipped template, such as `feedback.chat`."""
    folder = resources.files("plaudit.prompts") / "templates"
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


def read_template(path: str) -> str:
    """Return the source of a user's template.

    Raises:
        TemplateError: the file cannot be read as UTF-8 text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"template {path}: {error}") from None
