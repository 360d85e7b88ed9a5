"""Words that an engineer with English as a second language stumbles over stay out of the source."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "plaudit"
DIALECT = re.compile(
    r"\b(told|tells|untold|(?:be|is|are) had|in vain|whoever|at hand|is said)\b", re.IGNORECASE
)
READ = {
    "corpus/checks.py": "tells",  # Verbs of reporting that a question may hold.
    "judges/answers/head/cues.py": "told tells",  # Verbs of reporting in answers.
    "judges/answers/head/objections.py": "is said",
}
"""Words that a module looks for in texts of others."""


@pytest.mark.parametrize("folder", sorted(p.name for p in SOURCE.iterdir() if p.name[:2] != "__"))
def test_source_is_plain_english(folder: str) -> None:
    place = SOURCE / folder
    modules = [place] if place.suffix == ".py" else sorted(place.rglob("*.py"))
    found = [
        f"{name}:{number}: {word[0]}"
        for module in modules
        for name in [module.relative_to(SOURCE).as_posix()]
        for number, line in enumerate(module.read_text("utf-8").splitlines(), 1)
        for word in DIALECT.finditer(line)
        if word[0].lower() not in READ.get(name, "")
    ]
    assert found == [], "write: returns, shows, reports, is known, exists, failed"
