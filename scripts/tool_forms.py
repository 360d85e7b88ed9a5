"""How tools are called with chat templates: some calls are rendered by each, and read back.

scripts/tool_forms      write the table of TRL's chat templates into docs/reference/tools.md
"""

import importlib.metadata
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import PlauditError
from plaudit.rollouts.call_probe import probe_calls, shows_tools
from plaudit.rollouts.tokens.replies import around_reply
from plaudit.rollouts.tokens.safe_template import SafeTemplate

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "tools.md"
BEGIN, END = "<!-- tool forms -->\n", "<!-- tool forms: end -->\n"
FIND = ToolSpec("find_places", "Finds places.", msgspec.Raw(b'{"type":"object"}'))
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


class Outcome(NamedTuple):
    """What becomes of tools with one template."""

    kind: str
    """`read back the same`, `text form` or `refused`."""
    detail: str


class NoTokenizer:
    """Stands in for a tokenizer without special tokens: templates come without theirs."""

    identity = ""
    special_tokens = ()

    @property
    def control(self) -> dict[str, int]:
        """No control tokens."""
        return {}


def templates() -> Iterator[ChatTemplate]:
    """Yield the templates of the installed TRL, without importing it."""
    found = importlib.util.find_spec("trl")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("TRL is not installed: run scripts/tool_forms")
    for path in sorted(Path(found.submodule_search_locations[0]).glob("chat_templates/*.jinja")):
        source = path.read_text(encoding="utf-8")
        yield ChatTemplate(path.stem, {"default": source}, TOKENS)


def outcome_of(template: ChatTemplate) -> Outcome:
    """Find out what a run with this template would do."""
    shown = shows_tools(template, [FIND])
    found = probe_calls(template)
    if shown and found.forms:
        return Outcome("read back the same", f"`{'`, `'.join(found.forms)}`")
    try:
        as_text(template)
    except PlauditError as error:
        return Outcome("refused", str(error).replace(f"the chat template {template.name}", "it"))
    return Outcome("text form", found.why if shown else "it does not show tools")


def as_text(template: ChatTemplate) -> None:
    """Try a conversation in which calls and results are plain text."""
    safe = SafeTemplate(template, NoTokenizer())  # type: ignore[arg-type]
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "?"}]
    reply = {"role": "assistant", "content": "<tool_call>{}</tool_call>"}
    around_reply(safe, [*chat, reply], [{"role": "user", "content": "r"}], prompt=True)


def table() -> str:
    """Return the table: a line for each outcome, with its templates."""
    outcomes = {template.name: outcome_of(template) for template in templates()}
    lines = [
        f"| {kind} | {detail} | {', '.join(f'`{name}`' for name in names)} |"
        for kind, detail in sorted(set(outcomes.values()))
        if (names := [name for name, one in outcomes.items() if one == (kind, detail)])
    ]
    counts = Counter(outcome.kind for outcome in outcomes.values())
    said = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    version = importlib.metadata.version("trl")
    first = f"The {len(outcomes)} chat templates of TRL {version}: {said}."
    head = ["| calls | form, or why not | templates |", "|---|---|---|"]
    return "\n".join([first, "", *head, *lines, ""])


def main() -> int:
    """Write the table into its place."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
