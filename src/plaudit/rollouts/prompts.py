"""The prompts of an agent: the system prompt, which is one for all rollouts, and the question."""

from collections.abc import Iterable

from plaudit.prompts.escape import Escaper
from plaudit.prompts.template import Snippet, builtin, read_template
from plaudit.rollouts.config import RolloutConfig

_SYSTEM = frozenset({"date", "tools", "has_tools"})


class Prompts:
    """The prompts of one run.

    A system template may use `date`, `has_tools`, and `tools`, which is the text that shows the
    tools, and empty where the model sees them in another way. A template that leaves `tools`
    out gets that text at its end. The template of the user's message must use `question`, and may
    use `date`.

    Attributes:
        system: the system prompt; empty where its template renders to nothing.
    """

    def __init__(
        self,
        config: RolloutConfig,
        *,
        has_tools: bool,
        tools_text: str = "",
        special_tokens: Iterable[str] | None = (),
    ) -> None:
        """Read and check the templates.

        Args:
            config: names the templates and the date.
            has_tools: whether the model can call tools.
            tools_text: shows the tools, where that is for the prompt to do.
            special_tokens: of the model's tokenizer, which no question can speak; None: what the
                prompts are rendered by sees to that.

        Raises:
            TemplateError: a template cannot be used.
        """
        system = _load(config.system, "agent.system", frozenset(), _SYSTEM)
        self._date = config.date
        self._user = _load(config.prompt, "agent.user", frozenset({"question"}), {"date"})
        if special_tokens is None:
            self._escaper = Escaper(self._user.delimiters, known=())
            self._rare = Escaper((), known=())
        else:
            special, known = tuple(special_tokens), Escaper(())
            rare = [token for token in special if known.escape(token) == token]
            self._escaper = Escaper(self._user.delimiters, special)
            self._rare = Escaper((), rare, known=())
        text = system.render({"date": self._date, "has_tools": has_tools, "tools": tools_text})
        if tools_text and "tools" not in system.uses:
            text = f"{text.rstrip()}\n\n{tools_text}"
        self.system = text.strip()

    def user(self, question: str) -> str:
        """Return the user's message for a question."""
        shown = {"question": self.escape(question), "date": self._date}
        return self._user.render(shown).strip()

    def escape(self, text: str) -> str:
        """Return untrusted text, unable to speak as the prompt."""
        return self._escaper.escape(text)

    def escape_rare(self, text: str) -> str:
        """Return text with the model's own special tokens broken, those known everywhere not."""
        return self._rare.escape(text)


def _load(
    path: str | None, shipped: str, required: frozenset[str], optional: Iterable[str]
) -> Snippet:
    source = builtin(shipped) if path is None else read_template(path)
    return Snippet(source, path or shipped, required, frozenset(optional))
