"""What tokens cost: from the user's own file, or from the price list of `genai-prices`.

The list is the snapshot in the installed package, so nothing is fetched. A price that is not known
is None and never 0.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec

from plaudit._util.decoding import decode_json, decode_toml
from plaudit.engines.base import Engine, engine_info
from plaudit.errors import UsageError
from plaudit.types import Usage

_FREE = frozenset({"local", "gguf", "hf", "scripted", "none"})
"""Schemes of engines that run in this process and cost nothing a token."""
_SHORT = 1000
"""Tokens for which the list is asked: some prices rise with the length of a request, and a
judge's requests are short."""


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million tokens."""

    input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Return what tokens cost, in US dollars, to a billionth."""
        dollars = self.input * usage.input_tokens + self.output * usage.output_tokens
        return round(dollars / 1e6, 9)


class Prices:
    """Prices by model."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        """Put the user's own prices before those of the list.

        Args:
            own: prices by model name, or by `scheme:model` where a name is ambiguous.
        """
        self._own = dict(own or {})
        self._listed = cache(_listed)

    def __reduce__(self) -> tuple[type["Prices"], tuple[dict[str, Price]]]:
        return type(self), (self._own,)

    @classmethod
    def read(cls, path: str | None) -> "Prices":
        """Read prices from a TOML or JSON file; None: there is none.

        Raises:
            UsageError: the file cannot be read or holds no prices.
        """
        return cls() if path is None else cls(_check(read_mapping(path, "prices"), path))

    def of(self, engine: Engine, identity: str) -> Price | None:
        """Return the price of an engine's model, or None where it is not known.

        Args:
            engine: the engine.
            identity: the identity of its model.
        """
        model = identity.partition(":")[2]
        bare = model.rpartition("@")[0] or model  # without a revision
        for name in (identity, model, bare):
            if name in self._own:
                return self._own[name]
        if re.split("[:?]", engine.uri)[0] in _FREE:
            return Price(0.0, 0.0)
        return self._listed(bare, engine_info(engine).base_url)


def cost(price: Price | None, usage: Usage) -> float | None:
    """Return what tokens cost; without a price only no token has a known cost, which is 0."""
    if not usage.input_tokens and not usage.output_tokens:
        return 0.0
    return None if price is None else price.cost(usage)


def read_mapping(path: str, what: str) -> dict[str, Any]:
    """Read a table from a TOML or JSON file; the name says which.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{what} {path}: {reason}") from None
    try:
        found: Any = decode_json(text) if path.endswith(".json") else decode_toml(text)
    except (msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        form = "JSON" if path.endswith(".json") else "TOML"
        raise UsageError(f"{what} {path}: not {form}: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{what} {path}: not a table of names and values")
    return cast("dict[str, Any]", found)


def _check(table: Mapping[str, Any], path: str) -> dict[str, Price]:
    try:
        prices = msgspec.convert(table, dict[str, Price])
    except msgspec.ValidationError as error:
        raise UsageError(
            f"prices {path}: {error}; write US dollars for a million tokens, by model: "
            "{input = 0.5, output = 1.5}"
        ) from None
    for model, price in prices.items():
        if not all(math.isfinite(p) and p >= 0 for p in (price.input, price.output)):
            raise UsageError(f"prices {path}: {model!r} has a price that is no number from 0 on")
    return prices


def _listed(model: str, base_url: str) -> Price | None:
    """Look a model up in the list, by its name and where it is reached.

    None also where the list is not installed.
    """
    if not base_url.startswith("https:"):  # no provider that is paid by the token
        return None
    try:
        import genai_prices
    except ImportError:
        return None
    usage = genai_prices.Usage(input_tokens=_SHORT, output_tokens=_SHORT)
    try:
        found = genai_prices.calc_price(usage, model, provider_api_url=base_url)
    except LookupError:
        return None
    listed = found.model_price
    if listed.input_mtok is None or listed.output_mtok is None:  # priced otherwise, or in part
        return None
    million = 1_000_000 // _SHORT
    return Price(float(found.input_price * million), float(found.output_price * million))
