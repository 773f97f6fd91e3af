"""Tasks: which label is which class, which ones are left out, and what a features result gives for them."""

import numpy as np
import pandas as pd
import pytest

from trainables.corpora.emotions import EMOTION_CODES
from trainables.errors import UserError
from trainables.tasks import TASKS
from trainables.units import read_units


def classes(task, labels):
    names = TASKS[task].classes
    return [None if (number := TASKS[task].class_of(label)) is None else names[number] for label in labels]


def test_iemocaps_codes_mean_five_emotions_and_excited_is_happy():
    assert TASKS["emotion5"].classes == ("angry", "happy", "sad", "frustrated", "neutral")
    found = classes("emotion5", ["ang", "hap", "exc", "sad", "fru", "neu"])
    assert found == ["angry", "happy", "happy", "sad", "frustrated", "neutral"]


def test_other_emotions_and_utterances_without_agreement_are_left_out():
    assert classes("emotion5", ["sur", "fea", "oth", "dis", "xxx", ""]) == [None] * 6


def test_sentiment_is_the_scores_sign_and_zero_is_left_out():
    assert classes("sentiment", [-3.0, -0.1, 0.0, 0.1, 3]) == ["negative", "negative", None, "positive", "positive"]


def test_every_unit_with_a_rating_is_of_the_one_class_of_the_attributes_and_one_without_is_told_by_name(tmp_path):
    assert classes("attributes", [1.0, 4.5, np.float64(7)]) == ["rated"] * 3
    assert read_units(features(tmp_path, activation=[1.0, 1.0, 3.5, 7.0]), TASKS["attributes"]).truth.tolist() == [0, 0, 0]
    with pytest.raises(UserError, match="label 'activation' is missing for 'a'; fill it in or delete them"):
        read_units(features(tmp_path, activation=[1.0, 1.0, np.nan, 7.0]), TASKS["attributes"])


def test_severity_has_the_levels_of_the_bdis_manual_and_belongs_to_the_speaker():
    assert TASKS["severity"].classes == ("minimal", "mild", "moderate", "severe")
    assert TASKS["severity"].of_speaker
    first = {"minimal": 0, "mild": 14, "moderate": 20, "severe": 29}
    for level, last in {"minimal": 13, "mild": 19, "moderate": 28, "severe": 63}.items():
        assert set(classes("severity", [float(score) for score in range(first[level], last + 1)])) == {level}


@pytest.mark.parametrize("score", [-1.0, 64.0, 13.5])
def test_what_is_no_sum_of_the_inventory_is_refused(score, tmp_path):
    with pytest.raises(UserError, match=rf"whole number from 0 to 63; found {score:g}: mend the column bdi_ii"):
        read_units(features(tmp_path, bdi_ii=[5.0, 5.0, score, 20.0]), TASKS["severity"])


def test_happy_against_sad_has_the_excited_and_leaves_the_others_out():
    assert classes("happy_sad", ["hap", "exc", "sad", "ang", "neu", ""]) == ["happy", "happy", "sad", None, None, None]
    assert not TASKS["happy_sad"].of_speaker


def test_depression_is_the_diagnosis():
    assert classes("depression", [0.0, 1.0, np.float64(1), np.int64(0)]) == ["healthy", "depressed", "depressed", "healthy"]


def features(folder, **columns):
    """Three units; the second has two segments, in the file before the first one's and in reverse order."""
    table = pd.DataFrame({"unit": ["b", "b", "a", "c"], "position": [1, 0, 0, 0], "seconds": 5.0, "speaker": "s", "split": ""})
    table.assign(**columns).to_parquet(folder / "segments.parquet", index=False)
    return folder


def test_units_of_a_class_keep_their_segments_in_time_order_and_the_others_are_left_out(tmp_path):
    units = read_units(features(tmp_path, emotion=["hap", "hap", "xxx", "neu"]), TASKS["emotion5"])
    assert units.table["unit"].tolist() == ["b", "c"]
    assert [rows.tolist() for rows in units.segments] == [[1, 0], [3]]
    assert (units.truth.tolist(), units.truth.dtype) == ([1, 4], np.int64)


def test_a_corpus_without_the_label_or_with_none_of_the_classes_is_refused_with_what_it_has(tmp_path):
    with pytest.raises(UserError, match=r"'emotion' is missing.*'position'"):
        read_units(features(tmp_path), TASKS["emotion5"])
    with pytest.raises(UserError, match="'depressed' is missing"):
        read_units(features(tmp_path, depressed=[0, 0, np.nan, 1]), TASKS["depression"])
    with pytest.raises(UserError, match=r"no emotion is one of angry, .*; found '', 'oth': map"):
        read_units(features(tmp_path, emotion=["oth", "oth", "", ""]), TASKS["emotion5"])


def test_the_class_maps_of_iemocap_and_casia_merge_and_leave_out_what_their_names_say():
    codes = ["ang", "hap", "exc", "sad", "fru", "neu", "fea", "sur", "xxx"]
    assert classes("emotion4", codes) == ["angry", "happy", "happy", "sad", None, "neutral", None, None, None]
    assert classes("emotion4_unmerged", codes) == ["angry", "happy", None, "sad", None, "neutral", None, None, None]
    assert classes("emotion6", codes) == ["angry", "happy", "excited", "sad", "frustrated", "neutral", None, None, None]
    assert classes("casia6", codes) == ["angry", "happy", None, "sad", None, "neutral", "fearful", "surprised", None]


def test_the_classes_of_joined_corpora_are_those_of_casia_and_emodb_together():
    """EmoDB's seven are in its documentation's words (Burkhardt et al., Interspeech 2005), CASIA's in those of its folders."""
    casia = ["angry", "fear", "happy", "neutral", "sad", "surprise"]
    emodb = ["anger", "boredom", "disgust", "anxiety", "happiness", "sadness", "neutral"]
    found = [set(classes("emotion8", [EMOTION_CODES[word] for word in words])) for words in (casia, emodb)]
    assert found[0] | found[1] == set(TASKS["emotion8"].classes)
    assert [len(names) for names in found] == [6, 7]
    assert classes("emotion8", ["hap", "exc", "bor", "fru", "con", "oth", "xxx", ""]) == ["happy", "happy", "bored", *[None] * 5]
