"""Axolotl, `rl: dpo`: `chat_template.default` for messages, `user_defined.default` for text."""

from collections.abc import Iterable

from plaudit.preferences.export.base import Format, row
from plaudit.preferences.export.shaping import CannotCarryError, Shaped, messages_of, role_of

_ROLES = {"system", "user", "assistant"}


class Axolotl(Format):
    """`messages`, and `chosen` and `rejected` of one message each; or three texts."""

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return one row.

        Raises:
            CannotCarryError: a role is none that its reader knows.
        """
        if self.dataset.style == "plain":
            columns = (("prompt", pair.prompt), ("chosen", pair.chosen))
            return [row((*columns, ("rejected", pair.rejected)))]
        if not {role_of(message) for message in messages_of(pair.prompt)} <= _ROLES:
            raise CannotCarryError("roles")
        columns = (("messages", pair.prompt), ("chosen", pair.chosen[1:-1].strip()))
        return [row((*columns, ("rejected", pair.rejected[1:-1].strip())))]
