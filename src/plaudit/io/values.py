"""JSON arrays, and objects over many lines, cut into values without reading more than that takes.

Each value is decoded on its own: an element that is not JSON is rejected alone. (ijson would end at
the first mistake, and turns a lone surrogate into "?".)
"""

import re
from collections.abc import Callable, Generator
from typing import BinaryIO

from plaudit.io.rows import Position, Row, decode_row, excerpt, rejected


def value_rows(name: str, head: bytes, file: BinaryIO, position: Position) -> Generator[Row]:
    """Yield the elements of an array, or objects that stand one after the other."""
    scanner = Scanner(head, file, position.sizes.chunk)
    in_array = scanner.enter_array()
    number = 0
    while not scanner.at_end(in_array):
        where = f"{name}, element {number + 1}"
        end = scanner.value_end(position.sizes.row)
        if end is None:
            text = excerpt(scanner.buffer)
            yield Row(number, where, None, f"{scanner.problem}: nothing after it can be read", text)
            return
        yield _value_row(number, where, scanner.take(end), position.sizes.row)
        position.bytes_read = scanner.consumed
        number += 1
    more = in_array and scanner.has_more()
    position.bytes_read = scanner.consumed
    if more:
        problem = "text after the end of the array is not read"
        yield Row(number, f"{name}, after the array", None, problem, excerpt(scanner.buffer))


def _value_row(number: int, where: str, raw: bytes, most: int) -> Row:
    try:
        return Row(number, where, decode_row(raw))
    except (ValueError, RecursionError) as error:
        return rejected(number, where, raw, error, most)


_SPACE = re.compile(rb"[\s,]*+")
_SCALAR = re.compile(rb'[^\s,:\[\]{}"]++')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_UNTIL_BRACKET = re.compile(
    rb'[^\[\]{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^\[\]{}"]*+)*+', re.DOTALL
)
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}


class Scanner:
    """Finds where JSON values end, reading no more of the file than that takes."""

    def __init__(self, head: bytes, file: BinaryIO, chunk: int) -> None:
        """Begin with `head`, which was read of the file; the rest is read by chunks."""
        self._chunk = chunk
        self.buffer = bytearray(head)
        self.consumed = 0
        self.problem = ""
        self._read: Callable[[int], bytes] = getattr(file, "read1", file.read)

    def take(self, end: int) -> bytes:
        """Return and drop the first `end` bytes."""
        taken = bytes(self.buffer[:end])
        del self.buffer[:end]
        self.consumed += end
        return taken

    def has_more(self) -> bool:
        """Drop white space and commas; return whether anything follows."""
        while True:
            self.take(self._match(_SPACE, 0))
            if self.buffer:
                return True
            if not self._fill():
                return False

    def enter_array(self) -> bool:
        """Drop the bracket that opens an array; return whether there is one."""
        if self.has_more() and self.buffer[0] == ord("["):
            self.take(1)
            return True
        return False

    def at_end(self, in_array: bool) -> bool:
        """Drop what separates values; return whether none follows. Drops an array's end."""
        if not self.has_more():
            return not in_array
        if in_array and self.buffer[0] == ord("]"):
            self.take(1)
            return True
        return False

    def value_end(self, limit: int) -> int | None:
        """Return where the value at the start of the buffer ends, or None and set `problem`."""
        try:
            if not self.buffer:
                raise ValueError("the file ends inside the array")
            if self.buffer[0] in _CLOSING:
                return self._bracket_end(limit)
            if self.buffer[0] == ord('"'):
                return self._pattern_end(_STRING, limit)
            return self._scalar_end(limit)
        except ValueError as error:
            self.problem = str(error)
            return None

    def _bracket_end(self, limit: int) -> int:
        position, open_brackets = 0, bytearray()
        while True:
            position = self._match(_UNTIL_BRACKET, position)
            byte = self.buffer[position] if position < len(self.buffer) else ord('"')
            if byte == ord('"'):  # The buffer ends, perhaps inside a string.
                self._more(limit)
                continue
            position += 1
            if byte in _CLOSING:
                open_brackets.append(_CLOSING[byte])
            elif open_brackets.pop() != byte:
                raise ValueError(f"not JSON: {chr(byte)!r} closes nothing")
            if not open_brackets:
                return position

    def _pattern_end(self, pattern: "re.Pattern[bytes]", limit: int) -> int:
        while (found := pattern.match(self.buffer)) is None:
            self._more(limit)
        return found.end()

    def _scalar_end(self, limit: int) -> int:
        while (found := _SCALAR.match(self.buffer)) and found.end() == len(self.buffer):
            if not self._fill():
                break
        if found is None:
            raise ValueError(f"not JSON: {chr(self.buffer[0])!r} stands where a value should")
        return found.end()

    def _match(self, pattern: "re.Pattern[bytes]", position: int) -> int:
        found = pattern.match(self.buffer, position)
        return found.end() if found else position

    def _more(self, limit: int) -> None:
        if len(self.buffer) > limit:
            raise ValueError(f"longer than {limit >> 20} MiB, or a quote or bracket is missing")
        if not self._fill():
            raise ValueError("not JSON: the file ends inside it")

    def _fill(self) -> int:
        """Read on; as much again as there is, so that scanning a long string stays linear."""
        before = len(self.buffer)
        wanted = before + (before if before > self._chunk else 1)
        while len(self.buffer) < wanted and (chunk := self._read(self._chunk)):
            self.buffer += chunk
        return len(self.buffer) - before
