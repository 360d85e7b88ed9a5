"""Units: their spellings, a bounded grammar, and what they are worth, through pint (extra `units`).

Only names of letters reach pint: products, quotients and powers are read here.
"""

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec
from itertools import takewhile
from threading import Lock
from typing import Any

import msgspec

from plaudit._util.packages import load_package

_SPELLINGS = {
    "meter": "m metre metres meters metern metro metros metri",
    "kilometer": "km kms Km KM kilometre kilometres kilometers kilometern kilometro kilometros "
    "chilometro chilometri kilometri",
    "centimeter": "cm cms centimetre centimetres centimeters zentimeter zentimetern centimetro "
    "centimetros centimetri",
    "millimeter": "mm millimetre millimetres millimeters milimetro milimetros millimetri",
    "micrometer": "\u03bcm um micron microns micrometre micrometres micrometers",
    "nanometer": "nm nanometre nanometres nanometers",
    "mile": "mi miles meile meilen milla millas miglia",
    "nautical_mile": "nmi nautical_miles",
    "yard": "yd yds yards",
    "foot": "ft feet fuss pied pieds pies '",
    "inch": 'in inches zoll pouce pouces pulgada pulgadas "',
    "light_year": "ly lightyear lightyears light_years",
    "astronomical_unit": "AU au astronomical_units",
    "kilogram": "kg kgs Kg KG kilo kilos kilogramme kilogrammes kilograms kilogramm kilogramo "
    "kilogramos chilogrammi chili",
    "gram": "g gr gm grams gramme grammes gramm gramo gramos grammi",
    "milligram": "mg milligrams milligramme milligrammes milligramm",
    "microgram": "\u03bcg ug mcg micrograms",
    "metric_ton": "t tonne tonnes tonnen toneladas tonnellate",
    "pound": "lb lbs pounds pfund",
    "ounce": "oz ounces",
    "stone": "st stones",
    "second": "s sec secs seconds sekunde sekunden seconde secondes segundo segundos secondi",
    "millisecond": "ms msec milliseconds",
    "microsecond": "\u03bcs us microseconds",
    "nanosecond": "ns nanoseconds",
    "minute": "min mins minutes minuten minuto minutos minuti",
    "hour": "h hr hrs hours stunde stunden std heure heures hora horas ore",
    "day": "d days tag tage tagen jour jours dia dias giorno giorni",
    "week": "wk wks weeks woche wochen semaine semaines semana semanas settimane",
    "month": "months monat monate monaten mois mes meses mesi",
    "year": "yr yrs years jahr jahre jahren ans annee annees ano anos anni",
    "century": "centuries",
    "degree_Celsius": "\u00b0C degC celsius centigrade",
    "degree_Fahrenheit": "\u00b0F degF fahrenheit",
    "kelvin": "K kelvins",
    "degree": "\u00b0 deg degrees",
    "radian": "rad radians",
    "liter": "l L litre litres liters ltr litro litros litri",
    "milliliter": "ml mL millilitre millilitres milliliters",
    "centiliter": "cl cL centilitre centilitres",
    "deciliter": "dl dL",
    "gallon": "gal gallons",
    "quart": "qt quarts",
    "pint": "pt pints",
    "cup": "cups",
    "tablespoon": "tbsp tablespoons",
    "teaspoon": "tsp teaspoons",
    "fluid_ounce": "floz fl_oz fluid_ounces",
    "hectare": "ha hectares hektar",
    "acre": "acres",
    "hertz": "Hz",
    "kilohertz": "kHz",
    "megahertz": "MHz",
    "gigahertz": "GHz",
    "newton": "N newtons",
    "joule": "J joules",
    "kilojoule": "kJ kilojoules",
    "calorie": "cal calories",
    "kilocalorie": "kcal Cal kilocalories",
    "watt": "W watts",
    "milliwatt": "mW milliwatts",
    "kilowatt": "kW kilowatts",
    "megawatt": "MW megawatts",
    "gigawatt": "GW gigawatts",
    "watt_hour": "Wh watt_hours",
    "kilowatt_hour": "kWh KWh kwh",
    "megawatt_hour": "MWh",
    "horsepower": "hp",
    "pascal": "Pa pascals",
    "kilopascal": "kPa",
    "bar": "bars",
    "atmosphere": "atm atmospheres",
    "volt": "V volts",
    "millivolt": "mV millivolts",
    "kilovolt": "kV kilovolts",
    "ampere": "A amp amps amperes",
    "milliampere": "mA milliamps",
    "milliampere_hour": "mAh",
    "ohm": "\u03a9 \u03c9 ohms",
    "kiloohm": "kilohm kilohms kiloohms k\u03a9 k\u03c9",
    "megaohm": "megohm megohms megaohms M\u03a9",
    "coulomb": "coulombs",
    "farad": "farads",
    "tesla": "teslas",
    "mole": "mol moles",
    "millimole": "mmol",
    "molar": "M",
    "electron_volt": "eV",
    "bit": "bits",
    "byte": "B bytes octets",
    "kilobyte": "kB KB kilobytes",
    "megabyte": "MB megabytes",
    "gigabyte": "GB gigabytes",
    "terabyte": "TB terabytes",
    "kibibyte": "KiB kibibytes",
    "mebibyte": "MiB mebibytes",
    "gibibyte": "GiB gibibytes",
    "kilobit": "kb Kb kbit kilobits",
    "megabit": "Mb Mbit megabits",
    "gigabit": "Gb Gbit gigabits",
    "mile / hour": "mph MPH",
    "mile / gallon": "mpg",
    "kilometer / hour": "kph kmh KPH KMH",
    "kilobit / second": "kbps Kbps",
    "megabit / second": "Mbps",
    "gigabit / second": "Gbps",
    "megabyte / second": "MBps",
    "meter / second": "mps",
    "newton meter": "Nm",
    "centimeter ^ 3": "cc",
    "knot": "kn kt knots",
    "psi": "",
    "torr": "Torr",
    "rpm": "",
    "Btu": "BTU",
    "parsec": "pc parsecs",
    "meter ^ 2": "sqm",
    "kilometer ^ 2": "sqkm",
    "foot ^ 2": "sqft",
}
COMMON = {name: main for main, names in _SPELLINGS.items() for name in (main, *names.split())}
"""Spellings of common units, and what pint calls them."""
_WORDS = frozenset({"per", "pro", "par", "por", "al", "a", "an"})
_NO_UNITS = frozenset({"am", "pm", "nd", "rd", "th"})
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_AFTER = {"squared": 2, "cubed": 3}
_DEGREES = re.compile(
    "(?:degrees?|deg|grad|grados|degr\u00e9s|gradi|\u00b0) ?"
    "(celsius|fahrenheit|centigrade|[cf])\\b",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"\b(nautical|light|fl\.?|fluid|watt|astronomical)[ -](?=mile|year|oz|ounce|hour|unit)"
)
_TOKEN = re.compile(
    " *(?:([*\u00b7\u00d7/])|([^\\W\\d_]+(?:_[^\\W\\d_]+)*|\u00b0[CF]?|['\"])"
    "|\\^ ?\\(?([+-]?\\d{1,2})\\)?|([23])(?!\\d))"
)
_KNOWN_SIGNS = re.compile("[\\w \u00b0*\u00b7\u00d7/^()'\".+-]{1,48}")
_SYMBOL = re.compile(r"[^\W\d_]{2,5}")
_ENDING = re.compile(
    r"(?:met(?:re|er)|gram(?:me)?|second|watt|joule|volt|amp(?:ere)?|ohm|byte|bit|hertz|pascal"
    r"|lit(?:re|er)|newton|calorie|mole|tesla|weber|henry|lumen|lux|candela|becquerel|sievert"
    r"|gray|parsec|furlong|fathom|bushel|barrel|carat|year|dalton|farad|coulomb|kelvin|poise"
    r"|fortnight|league|acre|erg|dyne|gauss|angstrom|curie|rontgen|hour)s?"
)


class Unit(msgspec.Struct, frozen=True):
    """What a unit is worth in root units: `value * factor + offset`."""

    factor: Fraction
    offset: Fraction
    dimension: tuple[tuple[str, int], ...]
    """Root units and their powers, sorted."""


Terms = tuple[tuple[str, int], ...]
"""Names and powers, sorted: (("meter", 1), ("second", -2))."""


def available() -> bool:
    """Whether pint is installed, which the extra `units` brings."""
    return find_spec("pint") is not None


def is_common(text: str) -> bool:
    """Whether a text is made of common units, so that pint need not be asked what it is."""
    terms = read_unit(text)
    return terms is not None and all(name in _SPELLINGS for name, _ in terms)


def is_unit(text: str) -> bool:
    """Whether a text is a unit. Plain words such as `apples` are none, and never reach pint."""
    if is_common(text):
        return True
    terms = read_unit(text)
    if terms is None or not may_be_unit(terms):
        return False
    return available() and worth(terms) is not None


def may_be_unit(terms: Terms) -> bool:
    """Whether names look like those of units, so that pint may be asked."""
    return all(_may_be_unit(name) for name, _ in terms)


def _may_be_unit(name: str) -> bool:
    if name in _SPELLINGS or _ENDING.search(name):
        return True
    return bool(_SYMBOL.fullmatch(name)) and (len(name) == 2 or not name[1:].islower())


@lru_cache(maxsize=4096)
def read_unit(text: str) -> Terms | None:
    """Read the text of a unit: `m/s`, `metres per second`, `m s^-1`, `sq ft`.

    Names that are not common stay as they are. None where the text does not look like a unit:
    longer than 48 characters, other signs, a power of more than two digits, more than 8 names.
    """
    if not _KNOWN_SIGNS.fullmatch(text):
        return None
    text = _DEGREES.sub(lambda found: "\u00b0" + found[1][0].upper(), text)
    powers: dict[str, int] = {}
    for name, power in _terms(_PAIR.sub(r"\1_", text).replace("fl._", "fl_")) or ():
        for part, own in _expanded(name):
            powers[part] = powers.get(part, 0) + power * own
    if len(powers) > 8 or any(abs(power) > 99 for power in powers.values()):
        return None
    return tuple(sorted((name, power) for name, power in powers.items() if power)) or None


def _expanded(name: str) -> Terms:
    """Return the terms of a common name that stands for several: `mile / hour`."""
    return tuple(_terms(name) or ()) if " " in name else ((name, 1),)


def _terms(text: str) -> list[tuple[str, int]] | None:
    """Return names with powers in their order; None where the grammar is broken."""
    terms: list[tuple[str, int]] = []
    at, sign, power = 0, 1, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        at = match.end()
        operator, name, raised = match[1], match[2], match[3] or match[4]
        if name and name.casefold() in _NO_UNITS:
            return None
        if raised or name in _AFTER:
            if not terms:
                return None
            terms[-1] = (terms[-1][0], terms[-1][1] * (int(raised) if raised else _AFTER[name]))
        elif name in _POWERS:
            power = _POWERS[name]
        elif operator or (name in _WORDS and terms):
            sign = 1 if operator and operator != "/" else -1
        else:
            terms.append((_main(name), sign * power))
            power = 1
    return terms if power == 1 else None


def _main(name: str) -> str:
    """Return the main spelling of a common unit: `meter` of `m`, `Metres`, `m\u00e8tres`."""
    if name in COMMON or len(name) < 3:
        return COMMON.get(name, name)
    folded = unicodedata.normalize("NFKD", name.casefold())
    folded = "".join(c for c in folded if not unicodedata.combining(c))
    return COMMON.get(folded, folded if len(name) > 5 else name)


@lru_cache(maxsize=4096)
def worth(terms: Terms) -> Unit | None:
    """Return what a unit is worth in root units; None where pint does not know one of its names.

    An offset, as of degrees Celsius, counts only where the unit stands alone.
    """
    factor, dimension = Fraction(1), dict[str, int]()
    for name, power in terms:
        atom = _atom(name)
        if atom is None:
            return None
        if terms == ((name, 1),):
            return atom
        factor *= atom.factor**power
        for root, own in atom.dimension:
            dimension[root] = dimension.get(root, 0) + own * power
    left = tuple(sorted((root, power) for root, power in dimension.items() if power))
    return Unit(factor, Fraction(0), left)


_LOCK = Lock()
_MOST_LETTERS = 30


@lru_cache(maxsize=1)
def _registry() -> Any:
    """Return pint's registry, made at the first need (about half a second); exact fractions."""
    return load_package("pint", "units").UnitRegistry(non_int_type=Fraction)


@lru_cache(maxsize=4096)
def _atom(name: str) -> Unit | None:
    """Return what one name is worth, by its values at 0 and at 1."""
    if len(name) > _MOST_LETTERS or not _may_be_unit(name):
        return None  # pint reads `cats` as an atmosphere, and `c` as the speed of light
    with _LOCK:
        registry = _registry()
        if not registry.parse_unit_name(name):
            return None
        try:
            zero = registry.Quantity(Fraction(0), name).to_root_units()
            one = registry.Quantity(Fraction(1), name).to_root_units()
            roots = tuple(sorted((root, int(power)) for root, power in one.unit_items()))
        except (AttributeError, TypeError, ValueError, ArithmeticError):
            return None  # logarithmic, as a decibel
    offset = Fraction(zero.magnitude)
    return Unit(Fraction(one.magnitude) - offset, offset, roots)


_ASKED = re.compile(
    r"\b(?:how many|in|wie ?viele|combien (?:de|d')|cu[a\u00e1]nt[oa]s|quant[ie]|many) "
    r"?([^\s?,.;:!()]+)(?: ([^\s?,.;:!()]+))?(?: ([^\s?,.;:!()]+))?",
    re.IGNORECASE,
)
_STOPS = frozenset({"in", "a", "an", "the", "to", "is", "are"})
_MOST_QUESTION = 2_000


def asked_unit(question: str) -> Terms | None:
    """Return the one common unit that a question asks for: `How many metres ...?`; None: none."""
    return _asked_unit(question[:_MOST_QUESTION])


@lru_cache(maxsize=1024)
def _asked_unit(question: str) -> Terms | None:
    found: set[Terms] = {(("year", 1),)} if "how old" in question.casefold() else set()
    for match in _ASKED.finditer(question):
        words = list(takewhile(lambda word: word and word not in _STOPS, match.groups()))
        for used in range(len(words), 0, -1):
            text = " ".join(words[:used])
            if is_common(text) and (terms := read_unit(text)):
                found.add(terms)
                break
    return found.pop() if len(found) == 1 else None
