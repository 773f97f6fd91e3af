"""The sign of the valence of well-known emotion categories, for corpora that name emotions but score no sentiment.

Signs follow the circumplex of affect (Russell, 1980): pleasant +1, unpleasant -1, neither 0. Surprise is 0 because its cause
decides whether it is pleasant. A score of 0 is neglected downstream, as the paper neglects it (ReCLR, section 3.1, CMU-MOSEI).
"""

from __future__ import annotations

_CATEGORIES = {
    1: "happiness happy hap joy joyful excited excitement exc amusement amused contentment love pride relief positive",
    -1: "anger angry ang sadness sad fear fearful fea anxious anxiety disgust disgusted dis boredom bored bor "
    "frustration frustrated fru contempt shame guilt pain negative",
    0: "neutral neu normal calm surprise surprised sur",
}

VALENCE_SIGNS = {name: sign for sign, names in _CATEGORIES.items() for name in names.split()}
"""Category (lower case) to sign."""
