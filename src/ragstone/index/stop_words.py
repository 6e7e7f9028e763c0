"""Words that a question may lose: function words, per language (ISO 639-1)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_ENGLISH = """
a about above after again against all am an and any are as at be because been before being below between
both but by can could did do does doing don down during each few for from further had has have having he
her here hers herself him himself his how i if in into is it its itself just me more most my myself no nor
not now of off on once only or other our ours ourselves out over own s same she should so some such t than
that the their theirs them themselves then there these they this those through to too under until up very
was we were what when where which while who whom why will with would you your yours yourself yourselves
"""
_GERMAN = """
aber als am an auch auf aus bei bin bis bist da damit das dass dem den der des die dies diese dieser dieses
doch dort du durch ein eine einem einen einer eines er es für hat hatte hatten haben ich ihr ihre im in ist
ja kann man mehr mein mit nach nicht noch nur ob oder ohne sein seine sich sie sind so über um und uns unter
vom von vor war waren was welche welchem welchen welcher welches wenn wer werden wie wieso wird wo wurde
wurden zu zum zur
"""
_FRENCH = """
à au aux avec ce ces cette comment dans de des du elle en est et eu il ils je la le les leur lui ma mais me
même mes moi mon ne nos notre nous on ou où par pas pour qu que quel quelle quelles quels qui sa se ses si
son sont sur ta te tes toi ton tu un une vos votre vous étaient était été être
"""
_SPANISH = """
a al ante como con cual cuál cuando cuándo de del desde donde dónde el él ella ellas ellos en entre era eran
es esa ese eso esta está este esto fue fueron ha han hasta la las le les lo los más me mi muy no nos o para
pero por porque qué que quien quién quiénes se ser si sin sobre son su sus también tu un una uno y ya
"""
_RUSSIAN = """
а без более бы был была были было быть в вам вас во вот все всех вы где да для до его ее если есть еще же за
и из или им их к как какая какие каким какой какого когда который которая которые кто ли мне мы на над не
него нет ни но о об он она они оно от по под при с со так также там то того тоже только том ты у уже что
чтобы чем эта эти это этот я
"""

STOP_WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "en": frozenset(_ENGLISH.split()),
        "de": frozenset(_GERMAN.split()),
        "fr": frozenset(_FRENCH.split()),
        "es": frozenset(_SPANISH.split()),
        "ru": frozenset(_RUSSIAN.split()),
    }
)
