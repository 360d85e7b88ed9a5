"""Bringing back the whole replies of a damaged store: page by page, each checked by its seal.

SQLite's own way down from the first page ends where the tree is broken; but each page of a table
says what it holds, and a seal says whether a reply is whole and whose it is. So pages are read as
they lie in the file, newer ones from the log, whatever became of the rest.
https://www.sqlite.org/fileformat2.html
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from plaudit.engines.base import Completion
from plaudit.errors import UsageError
from plaudit.store.seal import unseal
from plaudit.store.store import Store

_PAGE = 4096
"""Bytes of a page in every store."""
_LEAF = 0x0D
_LEAF_HEADER = 8
_WAL_HEADER, _FRAME_HEADER = 32, 24
_KEY = 16
_COLUMNS = 2
_BLOB = 12
"""Serial type of an empty BLOB; each byte adds 2."""
_MOST = _PAGE * 100_000
"""Bytes of a row beyond which its length is taken for damaged."""


class Salvaged(msgspec.Struct):
    """What became of the replies of a damaged store."""

    found: int = 0
    """Whole replies that were found, copies of one included."""
    new: int = 0
    """Those that the store did not have, and has now."""


def salvage(damaged: Path, store: Store) -> Salvaged:
    """Copy the whole replies of a damaged store into another; what that has stays as it is.

    Reads the file once, in constant memory; may be given again.

    Raises:
        UsageError: there is no such file, or it is the store itself.
        StoreError: the store cannot be written.
    """
    if not damaged.is_file():
        raise UsageError(f"there is no file {damaged}")
    if damaged.resolve() == store.path.resolve():
        raise UsageError(f"{damaged} is the store in use; name one that was set aside")
    done = Salvaged()
    decode = msgspec.msgpack.Decoder(Completion).decode
    with _Pages(damaged) as pages:
        for key, sealed in pages.rows():
            body = unseal(sealed, key)
            try:
                reply = None if body is None else decode(body)
            except msgspec.DecodeError:
                continue
            if reply is None:
                continue
            done.found += 1
            if store.get_reply(key) is None:
                done.new += 1
                store.put_reply(key, reply)
    store.flush()
    return done


class _Pages:
    """The pages of a database, the newest version of each, without trusting any of them."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._count = os.fstat(self._file.fileno()).st_size // _PAGE
        wal = path.with_name(f"{path.name}-wal")
        self._wal: BinaryIO | None = wal.open("rb") if wal.exists() else None
        self._frames = dict(self._read_frames())

    def __enter__(self) -> "_Pages":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        if self._wal is not None:
            self._wal.close()

    def _read_frames(self) -> Iterator[tuple[int, int]]:
        """Yield page number and offset of the frames in the log, those of older rounds left out."""
        if self._wal is None:
            return
        salt = self._wal.read(_WAL_HEADER)[16:24]
        offset = _WAL_HEADER
        while len(header := self._wal.read(_FRAME_HEADER)) == _FRAME_HEADER:
            if header[8:16] != salt:
                return
            yield int.from_bytes(header[:4], "big"), offset + _FRAME_HEADER
            offset += _FRAME_HEADER + _PAGE
            self._wal.seek(offset)

    def _page(self, number: int) -> bytes:
        offset = self._frames.get(number)
        if offset is not None and self._wal is not None:
            self._wal.seek(offset)
            return self._wal.read(_PAGE)
        self._file.seek((number - 1) * _PAGE)
        return self._file.read(_PAGE)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield what may be key and sealed completion of replies."""
        for number in range(1, max(self._count, *self._frames, 1) + 1):
            page = self._page(number)
            if len(page) == _PAGE and page[0] == _LEAF:
                yield from self._rows_of(page)

    def _rows_of(self, page: bytes) -> Iterator[tuple[bytes, bytes]]:
        cells = int.from_bytes(page[3:5], "big")
        for cell in range(min(cells, (_PAGE - _LEAF_HEADER) // 2)):
            at = _LEAF_HEADER + 2 * cell
            try:
                record = self._record(page, int.from_bytes(page[at : at + 2], "big"))
                row = _blobs(record)
            except (IndexError, ValueError):
                continue
            if row is not None:
                yield row

    def _record(self, page: bytes, at: int) -> bytes:
        """Return a row's bytes, put together where they go on in other pages.

        Raises:
            IndexError, ValueError: the page is damaged.
        """
        size, at = _varint(page, at)
        _, at = _varint(page, at)  # rowid
        if size > _MOST:
            raise ValueError(size)
        most, least = _PAGE - 35, (_PAGE - 12) * 32 // 255 - 23
        if size <= most:
            return page[at : at + size]
        here = least + (size - least) % (_PAGE - 4)
        here = here if here <= most else least
        parts, left = [page[at : at + here]], size - here
        following = page[at + here : at + here + 4]
        while left > 0:
            page = self._page(int.from_bytes(following, "big") or self._count + 1)
            if len(page) < _PAGE:
                raise ValueError(following)
            following, part = page[:4], page[4 : 4 + left]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and where it ends."""
    value = 0
    for length in range(8):
        byte = data[at + length]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + length + 1
    return value << 8 | data[at + 8], at + 9


def _blobs(record: bytes) -> tuple[bytes, bytes] | None:
    """Return the two columns of a row if it is (16 bytes, bytes), as a reply is."""
    header, at = _varint(record, 0)
    types: list[int] = []
    while at < header and len(types) <= _COLUMNS:
        kind, at = _varint(record, at)
        types.append(kind)
    if at != header or len(types) != _COLUMNS or types[0] != _BLOB + 2 * _KEY:
        return None
    end = header + _KEY
    return record[header:end], record[end : end + (types[1] - _BLOB) // 2]
