"""IEMOCAP's emotion categories and boredom, and the words by which other corpora call them.

In a role that needs emotions a manifest holds these codes, so that a corpus that says 'anger' can play the role as well. Which
categories a task keeps, and which it merges, is the task's business.
"""

from __future__ import annotations

_CATEGORIES = {
    "ang": "anger angry",
    "hap": "happiness happy joy joyful",
    "exc": "excitement excited",
    "sad": "sadness sad",
    "fru": "frustration frustrated",
    "neu": "neutral normal calm",
    "sur": "surprise surprised",
    "fea": "fear fearful anxiety anxious",
    "dis": "disgust disgusted",
    "con": "contempt",
    "bor": "boredom bored",
    "xxx": "",  # the raters did not agree
    "oth": "other amusement amused contentment love pride relief shame guilt pain",
}

EMOTIONS = tuple(_CATEGORIES)
"""The categories, as IEMOCAP's ``EmoEvaluation`` files write them (Busso et al., Language Resources and Evaluation 42, 2008).

``con`` and ``bor`` are ours, in the same manner: MSP-Podcast has contempt and EmoDB has boredom (Burkhardt et al., A database of
German emotional speech, Interspeech 2005), for which IEMOCAP's raters had no category.
"""

EMOTION_CODES = {word: code for code, words in _CATEGORIES.items() for word in (code, *words.split())}
"""Word (lower case) to category."""
