"""Currencies: their signs, codes and names, and which of them may be the same."""

import re

_CODES = (
    "USD EUR GBP JPY CNY INR CHF CAD AUD NZD HKD SGD SEK NOK DKK ISK PLN CZK HUF RON BGN RUB TRY "
    "BRL MXN ARS CLP COP ZAR KRW THB ILS UAH PHP NGN IDR VND AED SAR EGP TWD MYR KES BTC"
)
_SIGNS = {
    "$": "$",
    "US$": "USD",
    "A$": "AUD",
    "AU$": "AUD",
    "C$": "CAD",
    "CA$": "CAD",
    "NZ$": "NZD",
    "HK$": "HKD",
    "S$": "SGD",
    "R$": "BRL",
    "\u20ac": "EUR",
    "\u00a3": "GBP",
    "\u00a5": "JPY",
    "\u20b9": "INR",
    "\u20a9": "KRW",
    "\u20bd": "RUB",
    "\u20ba": "TRY",
    "\u20aa": "ILS",
    "\u20b4": "UAH",
    "\u0e3f": "THB",
    "\u20ab": "VND",
    "\u20bf": "BTC",
    "\u00a2": "cent",
}
_NAMES = {
    "dollar": "$",
    "buck": "$",
    "us dollar": "USD",
    "u.s. dollar": "USD",
    "american dollar": "USD",
    "canadian dollar": "CAD",
    "australian dollar": "AUD",
    "new zealand dollar": "NZD",
    "hong kong dollar": "HKD",
    "singapore dollar": "SGD",
    "euro": "EUR",
    "pound sterling": "GBP",
    "pounds sterling": "GBP",
    "british pound": "GBP",
    "yen": "JPY",
    "japanese yen": "JPY",
    "yuan": "CNY",
    "renminbi": "CNY",
    "chinese yuan": "CNY",
    "rupee": "rupee",
    "indian rupee": "INR",
    "franc": "franc",
    "swiss franc": "CHF",
    "krona": "kr",
    "kronor": "kr",
    "krone": "kr",
    "kroner": "kr",
    "kr": "kr",
    "swedish krona": "SEK",
    "swedish kronor": "SEK",
    "norwegian krone": "NOK",
    "norwegian kroner": "NOK",
    "danish krone": "DKK",
    "danish kroner": "DKK",
    "peso": "peso",
    "mexican peso": "MXN",
    "ruble": "RUB",
    "rouble": "RUB",
    "real": "BRL",
    "reais": "BRL",
    "brazilian real": "BRL",
    "zloty": "PLN",
    "baht": "THB",
    "rand": "ZAR",
    "shekel": "ILS",
    "bitcoin": "BTC",
    "cent": "cent",
    "penny": "penny",
    "pence": "penny",
}
_FAMILIES: dict[str, dict[str, bool | None]] = {
    "$": {"USD": True} | dict.fromkeys(("AUD", "CAD", "NZD", "HKD", "SGD", "TWD", "peso")),
    "rupee": {"INR": True},
    "franc": {"CHF": None},
    "kr": dict.fromkeys(("SEK", "NOK", "DKK", "ISK")),
    "peso": dict.fromkeys(("MXN", "ARS", "CLP", "COP", "PHP")),
    "JPY": {"CNY": None},
    "cent": {"$": True, "USD": True} | dict.fromkeys(("EUR", "AUD", "CAD", "NZD", "ZAR")),
    "penny": {"GBP": True, "cent": None, "$": None, "USD": None},
}
"""Whether a name stands for a currency: True; None where it may; another currency otherwise."""

HUNDREDTHS = frozenset({"cent", "penny"})

_SIGN = "|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True))
BEFORE = re.compile(rf"({_SIGN}|(?:{_CODES.replace(' ', '|')})(?= ?[-+]?[\d.]))(?: ?)")
"""A currency before a number: `$`, `US$`, `USD `."""
SIGN_AFTER = re.compile(rf" ?({_SIGN})")


def currency_of(name: str) -> str | None:
    """Return the code of a currency: `EUR` of `euros`, `\u20ac` and `EUR`; None for other words."""
    if name in _SIGNS or (len(name) == 3 and name.isupper() and name in _CODES.split()):
        return _SIGNS.get(name, name)
    low = name.casefold()
    return _NAMES.get(low) or _NAMES.get(low.removesuffix("s"))


def agree(a: str, b: str) -> bool | None:
    """Whether two currencies are the same; None where the name of one may stand for the other."""
    if a == b:
        return True
    for general, member in ((a, b), (b, a)):
        if member in _FAMILIES.get(general, {}):
            return _FAMILIES[general][member]
    return False


_MOST = 2_000
_MONEY = re.compile(rf"{_SIGN}|[^\W\d_]+")


def named(currency: str, text: str) -> bool:
    """Whether a text, such as a question, names a currency."""
    words = _MONEY.findall(text[:_MOST])
    return any((code := currency_of(word)) and agree(code, currency) for word in words)
