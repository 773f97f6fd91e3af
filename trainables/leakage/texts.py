"""Transcripts made comparable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

LEAST_WORDS = 7
"""Different words that a transcript needs to be taken by itself for one sentence said twice and not for an everyday answer.
Formulas such as 'I don't know what to say' have up to six; free speech hardly ever repeats seven different words in order, while
the sentences of reading tests and of many scripts have seven to ten. Chinese characters count half: words have two of them."""
LEAST_SENTENCE = 3
"""Words of the shortest acted sentences ('It's eleven o'clock' in CREMA-D); shorter ones are everyday answers in any corpus. So
short a sentence tells of a script only together with all the others (:mod:`trainables.leakage.overlaps`)."""
_CHINESE = r"\x{3400}-\x{9fff}"


def normalised_texts(texts: pd.Series) -> tuple[np.ndarray, pa.Array]:
    """Transcripts without case, punctuation and runs of blanks.

    Returns:
        The number of each row's transcript, int ``[rows]``, -1 for a row without a word; and the distinct transcripts.
    """
    words = pc.utf8_lower(pa.array(texts, type=pa.large_string(), from_pandas=True))
    for apostrophe in ("'", "\u2019"):
        words = pc.replace_substring(words, apostrophe, "")
    words = pc.utf8_trim_whitespace(pc.replace_substring_regex(words, r"[^\pL\pN]+", " "))
    encoded = pc.dictionary_encode(words)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    without = pc.equal(encoded.dictionary, "").to_numpy(zero_copy_only=False)
    codes[np.append(without, False)[codes]] = -1
    return codes, encoded.dictionary


def word_counts(texts: pa.Array) -> np.ndarray:
    """Words of each normalised transcript, Chinese characters counting half, float ``[texts]``."""
    words = pc.count_substring_regex(texts, rf"[^\s{_CHINESE}]+").to_numpy(zero_copy_only=False)
    return words + pc.count_substring_regex(texts, f"[{_CHINESE}]").to_numpy(zero_copy_only=False) / 2


def long_enough(texts: Iterable[str]) -> np.ndarray:
    """Whether each normalised transcript has :data:`LEAST_WORDS` different words, bool ``[texts]``."""
    return np.array([_different_words(text) >= LEAST_WORDS for text in texts], dtype=bool)


def _different_words(text: str) -> float:
    characters = {character for character in text if "\u3400" <= character <= "\u9fff"}
    words = {word for word in text.split() if not characters.intersection(word)}
    return len(words) + len(characters) / 2
