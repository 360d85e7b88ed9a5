"""A checksum on everything stored: SQLite has none, and a flipped bit would be a wrong reward.

It covers whose the bytes are, too, so that a row that comes back under another's key is found out.
Measured on 600 bytes: 0.45 us to seal, 0.5 us to unseal.
"""

from zlib import crc32

_SIZE = 4


def seal(body: bytes, owner: bytes) -> bytes:
    """Return the bytes to store: the checksum of `owner` and `body`, then `body`."""
    return crc32(body, crc32(owner)).to_bytes(_SIZE, "big") + body


def unseal(stored: bytes, owner: bytes) -> bytes | None:
    """Return the body of sealed bytes, or None where they are not what `owner` had sealed."""
    body = stored[_SIZE:]
    if crc32(body, crc32(owner)).to_bytes(_SIZE, "big") != stored[:_SIZE]:
        return None
    return body


def row_owner(id: int) -> bytes:
    """Return what stands for a row of that id as the owner of its bytes."""
    return id.to_bytes(8, "big")
