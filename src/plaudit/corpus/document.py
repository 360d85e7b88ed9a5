"""What readers make of files: documents, each a stream of text with headings in between."""

from collections.abc import Iterable

import msgspec


class Heading(msgspec.Struct, frozen=True):
    """The beginning of a section; stands in the stream just before the section's text."""

    level: int
    """From 1, the highest."""
    text: str


Part = str | Heading


class Document(msgspec.Struct, frozen=True):
    """One document, read but not yet cut."""

    name: str
    """What it is called in the index: the file's path within the folder that was given."""
    digest: str
    """Hash of what it was read from."""
    parts: Iterable[Part]
    """Its text in order, with headings; read while it is taken. Offsets count its characters."""
    title: str = ""
