"""Chemical elements that answers name: names in English, and symbols."""

from collections.abc import Sequence

_ELEMENTS = (
    "hydrogen H helium He lithium Li beryllium Be boron B carbon C nitrogen N oxygen O fluorine F "
    "neon Ne sodium Na magnesium Mg aluminium Al aluminum Al silicon Si phosphorus P sulfur S "
    "sulphur S chlorine Cl argon Ar potassium K calcium Ca iron Fe cobalt Co nickel Ni copper Cu "
    "zinc Zn selenium Se krypton Kr rubidium Rb strontium Sr yttrium Y zirconium Zr molybdenum Mo "
    "technetium Tc ruthenium Ru palladium Pd silver Ag cadmium Cd tin Sn iodine I xenon Xe "
    "caesium Cs cesium Cs barium Ba iridium Ir gold Au mercury Hg thallium Tl lead Pb bismuth Bi "
    "polonium Po radon Rn radium Ra actinium Ac thorium Th protactinium Pa uranium U neptunium Np "
    "plutonium Pu americium Am curium Cm californium Cf tritium T deuterium D"
)
_WORDS: Sequence[str] = _ELEMENTS.split()
SYMBOLS: dict[str, str] = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
"""The symbol of each element by its name, in lower case."""
KNOWN = frozenset(SYMBOLS.values())
