"""The files of an index: plain JSON and arrays of numbers, in a folder, never a pickle.

======================  ==================================================================
`manifest.json`         what the index is, how it was made, and how long the other files are
`documents.jsonl`       a `DocumentRecord` a line, in order
`chunks.jsonl`          a `Chunk` a line, in order
`places.npy`            where each line of `chunks.jsonl` begins, and its end: int64, n + 1
`ids.npy`               the chunks' ids as numbers: uint64, n
`words.json`            the words that were found, in the order of their numbers
`scores.npy`            BM25 of each word in each chunk that has it, word by word: float32
`holders.npy`           the numbers of those chunks: uint32
`columns.npy`           where each word's scores begin, and the end of the last: int64
`embeddings.npy`        where there are any: float32, n rows of length 1
======================  ==================================================================
"""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from plaudit._util.paths import possible
from plaudit.errors import InputError

FORMAT = "plaudit-corpus"
VERSION = 2
MANIFEST = "manifest.json"
DOCUMENTS = "documents.jsonl"
CHUNKS = "chunks.jsonl"
ARRAYS = ("places", "ids", "scores", "holders", "columns")
WORDS = "words.json"
EMBEDDINGS = "embeddings"
FILES = frozenset(
    {MANIFEST, DOCUMENTS, CHUNKS, WORDS, *(f"{name}.npy" for name in (*ARRAYS, EMBEDDINGS))}
)


class IndexSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an index is made; another index is made with other settings."""

    chunk_size: int = 1000
    """Most characters of a chunk."""
    overlap: int = 0
    """Characters at the end of a chunk that the next one repeats."""
    embeddings: str = ""
    """The model whose embeddings are searched beside BM25; empty: none."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an index is."""

    format: Literal["plaudit-corpus"] = FORMAT
    version: int = VERSION
    plaudit: str
    """The version that made it."""
    settings: IndexSettings
    fingerprint: str
    """Hash of all that results depend on."""
    documents: int
    chunks: int
    sizes: dict[str, int]
    """Length of each other file, in bytes."""
    digests: dict[str, str]
    """BLAKE2b (16 bytes, hexadecimal) of each other file but `chunks.jsonl`, whose chunks have ids
    made from their text."""


class DocumentRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A document of an index."""

    name: str
    digest: str
    """Hash of what it was read from."""
    input: str
    """The file that it is from."""
    input_digest: str = ""
    """Hash of that file; empty where it must be read again, since part of it could not be."""
    first: int
    """Number of its first chunk."""
    chunks: int


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a document, short enough to be read at once."""

    id: str
    """16 hexadecimal digits, made from document and text: the same in every index that has it."""
    document: str
    """Name of the document: its file's path within the folder that was given."""
    title: str = ""
    """The document's title, where it has one."""
    heading: tuple[str, ...] = ()
    """Headings of the section in which it begins, the highest first."""
    start: int
    """Place of its first character in the document's text."""
    end: int
    text: str
    copy: int = 0
    """How many chunks of the document before it have the same text."""

    @property
    def place(self) -> str:
        """Title or name, and headings, on one line."""
        return " > ".join((self.title or self.document, *self.heading))


def chunk_id(document: str, text: str, copy: int) -> str:
    """Return the id of a chunk."""
    content = f"{document}\0{copy}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def digest_of(*texts: str) -> str:
    """Return a hash of some texts."""
    hasher = hashlib.blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        hasher.update(b"%d " % len(data) + data)
    return hasher.hexdigest()


def holds_index(folder: Path) -> bool:
    """Whether a folder is an index, whole or not."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            return f'"{FORMAT}"'.encode() in file.read(200)
    except OSError:
        return False


def read_manifest(folder: Path) -> Manifest:
    """Read what an index is.

    Raises:
        InputError: the folder is no index, of another version, or not whole.
    """
    if not holds_index(folder):
        there = "is no index" if possible(folder).exists() else "does not exist"
        raise InputError(f"{folder} {there}: make one with plaudit corpus build DOCS -o {folder}")
    try:
        raw = (folder / MANIFEST).read_bytes()
        version = msgspec.json.decode(raw, type=_Versioned).version
        if version != VERSION:
            raise InputError(
                f"{folder} is an index of version {version}, and this plaudit reads version "
                f"{VERSION}: build it again"
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
        for name, size in manifest.sizes.items():
            if name not in FILES or (folder / name).stat().st_size != size:
                raise damaged(folder, f"{name} is not as long as it was")
    except (OSError, msgspec.MsgspecError) as error:
        raise damaged(folder, str(error)) from error
    return manifest


def check_file(folder: Path, manifest: Manifest, name: str) -> Path:
    """Return the path of a file of an index, once it is found to be what was written.

    Raises:
        InputError: the file is missing or another.
    """
    path = folder / name
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, digest).hexdigest()
    except OSError as error:
        raise damaged(folder, f"{name}: {error}") from error
    if found != manifest.digests.get(name):
        raise damaged(folder, f"{name} is not what was written")
    return path


def digest(data: bytes = b"") -> "hashlib.blake2b":
    """Return the hash of a file of an index."""
    return hashlib.blake2b(data, digest_size=16)


class _Versioned(msgspec.Struct):
    version: int


def damaged(folder: Path, reason: str) -> InputError:
    """Return the error that an index is not what was written."""
    return InputError(f"the index {folder} is damaged ({reason}): build it again")
