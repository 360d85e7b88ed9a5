"""Decoders of files that users write: what is nested too deeply is malformed like all else."""

import tomllib
from typing import Any

import msgspec

_TOO_DEEP = "it is nested too deeply"


def decode_json(text: str | bytes, form: Any = Any) -> Any:
    """Decode JSON.

    Args:
        text: JSON.
        form: the type that is expected, as msgspec takes it.

    Raises:
        msgspec.DecodeError: it is no JSON, of another form, or nested too deeply.
    """
    try:
        return msgspec.json.decode(text, type=form)
    except RecursionError:
        raise msgspec.DecodeError(_TOO_DEEP) from None


def decode_toml(text: str) -> dict[str, Any]:
    """Decode TOML.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML, or nested too deeply, or a number is too long.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError(_TOO_DEEP) from None
    except ValueError as error:
        raise tomllib.TOMLDecodeError(str(error)) from None
