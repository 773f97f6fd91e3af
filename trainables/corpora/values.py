"""What the words of a table stand for: maps of corpora.toml, emotions, diagnoses and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainables.corpora.emotions import EMOTION_CODES
from trainables.corpora.manifest import COLUMNS, LABELS
from trainables.corpora.reading import listing
from trainables.corpora.roles import ROLES
from trainables.corpora.valence import VALENCE_SIGNS
from trainables.errors import Faults

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

MAPPABLE = ("talker", "split", "depressed", "sentiment", "emotion", "gender", "task", "stimulus", "style")
"""Columns whose values corpora.toml may map: ``[mdd.talker] Ellie = "interviewer"``."""

DIAGNOSES = {
    **dict.fromkeys(("true", "yes", "depressed", "depression", "depressive", "patient", "mdd"), "1"),
    **dict.fromkeys(("false", "no", "healthy", "control", "normal", "non-depressed", "not depressed", "hc"), "0"),
}
"""Words of a ``depressed`` column (lower case), and what they stand for."""

_PLAIN_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NO_VALUE = ("", "nan", "none", "null")
_SPELLINGS = ("NaN", *(spelling for word in _NO_VALUE[1:] for spelling in (word, word.upper(), word.capitalize())))


def use_words(table: pd.DataFrame, column: str, words: Mapping[str, str], role: str, faults: Faults) -> None:
    """Make a column's words the documented ones, in place; '' stays, and any other word is a fault.

    Args:
        table: The manifest.
        column: Its column.
        words: What is understood (lower case, blanks for underscores and hyphens), and what it stands for.
        role: For the message on how to map other words.
        faults: Told of them.
    """
    plain = {word: re.sub("[ _-]+", " ", _key(word)) for word in table[column].unique()}
    unknown = sorted(word for word, key in plain.items() if key and key not in words)
    if unknown:
        known = list(dict.fromkeys(words.values()))
        faults.add(
            f"{column} must be one of {', '.join(known)}; found {listing(unknown)}: map them in corpora.toml, "
            f'for example [{role}.{column}] "{unknown[0]}" = "{known[0]}"'
        )
    table[column] = _replaced(table[column], {word: words.get(key, word) for word, key in plain.items()})


def blank_names(names: pd.Series) -> pd.Series:
    """Names with '' for what programs write where there is none (nan, None, null): no speaker of everybody without a name."""
    blank = names.isin(_SPELLINGS)
    return names.mask(blank, "") if blank.any() else names


def replace_words(column: pd.Series, words: Mapping[str, str]) -> pd.Series:
    """The column with some of its words (lower case here, any case there) replaced; the others stay."""
    return _replaced(column, {word: words.get(_key(word), word) for word in column.unique()})


def _replaced(column: pd.Series, meanings: Mapping[str, str]) -> pd.Series:
    changed = any(word != meaning for word, meaning in meanings.items())
    return column.map(meanings).astype("str") if changed else column


def map_values(named: pd.DataFrame, source: CorpusSource, faults: Faults) -> None:
    """Apply the value maps, the known ones of emotions too, and derive sentiment where it is the only way to have it."""
    given = source.options.get("values", {})
    maps = {column: {_key(word): value for word, value in table.items()} for column, table in given.items()}
    if "sentiment" not in named and "emotion" in named and ROLES[source.role].label == "sentiment":
        maps["sentiment"] = {word: str(sign) for word, sign in VALENCE_SIGNS.items()} | maps.get("sentiment", {})
        named["sentiment"] = named["emotion"]
    if ROLES[source.role].label == "emotion":
        maps["emotion"] = EMOTION_CODES | maps.get("emotion", {})
    if "depressed" in named:
        maps["depressed"] = DIAGNOSES | maps.get("depressed", {})
    for column, words in maps.items():
        if column not in named:
            faults.add(f"[{source.role}.{column}] maps a column that the table does not have")
            continue
        distinct = named[column].unique().tolist()
        unknown = set()
        if column in given or column == "sentiment":
            unknown = _unknown(column, distinct, words)
        if unknown:
            faults.add(
                f"{column}: no value is known for {listing(sorted(unknown))}; give one in corpora.toml, "
                f'for example [{source.role}.{column}] "{min(unknown)}" = 0'
            )
        meanings = {word: "" if word in unknown else words.get(_key(word), word) for word in distinct}
        named[column] = _replaced(named[column], meanings)


def _unknown(column: str, distinct: list[str], words: Mapping[str, str]) -> set[str]:
    """Words that should stand for a number and do not."""
    if column not in LABELS or LABELS[column].kind is not float:
        return set()
    return {word for word in distinct if word and _key(word) not in words and not _is_number(word)}


def to_numbers(named: pd.DataFrame, role: str, faults: Faults) -> None:
    """Make every numeric column float64, and complete diagnoses within their session; other words are faults."""
    columns = COLUMNS | LABELS
    for name in [name for name in named if columns[name].kind is float]:
        words = named[name]
        numbers = _numbers(words)
        missing = numbers.isna()
        wrong = words[missing][~words[missing].str.lower().isin(_NO_VALUE)]
        if len(wrong):
            mend = f"map them in [{role}.{name}]" if name in MAPPABLE else "mend them"
            faults.add(f"{name} must be a number; found {listing(wrong)}: {mend}")
        named[name] = numbers
    if "depressed" in named:
        # a diagnosis is a session's: tables often give it in the session's first row or at the subject's turns
        named["depressed"] = named["depressed"].fillna(named.groupby("session")["depressed"].transform("first"))
        if named["depressed"].notna().all() and named["depressed"].isin((0, 1)).all():
            named["depressed"] = named["depressed"].astype("int64")


def _numbers(words: pd.Series) -> pd.Series:
    """float64, NaN where a word is no finite number; the usual spelling as a whole, because tables may have millions of rows."""
    import numpy as np
    import pandas as pd

    numbers = pd.Series(np.nan, index=words.index, dtype="float64")
    plain = words.str.fullmatch(_PLAIN_NUMBER)
    numbers[plain] = words[plain].astype("float64")
    odd = words[~plain & (words != "")]
    if len(odd):
        numbers[odd.index] = odd.map(_number).astype("float64")
    return numbers.where(np.isfinite(numbers))


def _number(word: str) -> float:
    import math

    import pandas as pd

    try:
        value = float(word)
    except ValueError:
        # audformat writes times as '0 days 00:00:01.200000'
        value = pd.to_timedelta(word, errors="coerce").total_seconds() if ":" in word else math.nan
    return value if math.isfinite(value) else math.nan


def _is_number(word: str) -> bool:
    return _number(word) == _number(word)


def _key(word: str) -> str:
    return word.strip().lower()
