"""Makes the README that a package page shows: relative links do not work there."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE)
_WHERE = "The pages named here are in the folder `docs/` of the source distribution."
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")


def package_page(text: str, base: str = "") -> str:
    """Return README without relative links.

    Args:
        text: the README, as Markdown.
        base: URL of the tree that holds the files, with a slash at its end. Links lead there.
            Without one, a link becomes its text and a picture goes.
    """

    def link(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        if base:
            return f"{picture}[{label}]({base}{target})"
        return "" if picture else label

    parts = _FENCE.split(text)
    parts[::2] = [_LINK.sub(link, _COMMENT.sub("", part)) for part in parts[::2]]
    page = re.sub(r"\n{3,}", "\n\n", "".join(parts))
    return page if base else f"{page.rstrip()}\n\n{_WHERE}\n"


class PackagePage(MetadataHookInterface):
    """Sets `readme` of the package; `links` in pyproject.toml is the base of links."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the README of the package."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        page = package_page(text, self.config.get("links", ""))
        metadata["readme"] = {"content-type": "text/markdown", "text": page}
