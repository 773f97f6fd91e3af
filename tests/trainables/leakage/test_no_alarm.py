"""No alarm where nothing leaks: the twins under their studies' protocols, and manifests made up by hypothesis."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainables.leakage.manifests import findings, interviews, kinds, said, scored, twin_manifest, utterances
from trainables.corpora.manifest import in_order
from trainables.leakage.chain import ChainAudit
from trainables.leakage.corpus import AuditedCorpus
from trainables.leakage.interviews import find_interview_leaks
from trainables.protocols.catalogue import (
    CASIA_4_SPEAKERS,
    CASIA_MIXED_5,
    DAIC_OFFICIAL,
    DAIC_POOLED_NESTED,
    HELD_OUT_30,
    IEMOCAP_5_SESSIONS,
    IEMOCAP_10_SPEAKERS,
    MSP_PODCAST_TEST1,
    OWN_SPLITS,
    SPEAKERS_5_FOLD,
    SPEAKERS_70_30,
)

TWINS = {
    "mdd": ("depression", SPEAKERS_70_30, HELD_OUT_30, SPEAKERS_5_FOLD),
    "sre": ("depression", SPEAKERS_70_30),
    "daic_woz": ("depression", DAIC_OFFICIAL, DAIC_POOLED_NESTED),
    "mosei": ("sentiment", OWN_SPLITS),
    "iemocap": ("emotion5", SPEAKERS_70_30, IEMOCAP_5_SESSIONS, IEMOCAP_10_SPEAKERS),
    "casia": ("casia6", CASIA_4_SPEAKERS, CASIA_MIXED_5),
    "msp_podcast": ("emotion4", MSP_PODCAST_TEST1),
}


@pytest.mark.parametrize("role", TWINS)
def test_no_twin_alarms_under_its_protocols(role):
    task, *protocols = TWINS[role]
    table = twin_manifest(role)
    for protocol in protocols:
        for fold in range(protocol.folds):
            found = findings(table, task, protocol, fold=fold, inner=0 if protocol.inner_folds else None)
            assert kinds(found) == set(), (protocol.name, fold, found)


@st.composite
def clean_interviews(draw):
    """Any number of sessions of up to three a person, turns of any length in any order, everyday answers said by everybody."""
    people = draw(st.integers(8, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    short = draw(st.sampled_from(["yes", "i don't know", "well it was quite all right", ""]))
    prompts = ["", *(f"prompt {number}" for number in range(draw(st.integers(0, 30))))]
    rows = []
    for person in range(people):
        for visit in range(rng.integers(1, 4)):
            time, session = 0.0, f"p{person:02d}-{visit}"
            for turn in range(rng.integers(1, 7)):
                start = time + rng.uniform(0, 0.5)
                time = start + rng.uniform(0.2, 9)
                asked = turn > 0 and rng.random() < 0.5
                fields = {"segment": f"{session}_{turn}", "recording": f"{session}.wav", "start": start, "end": time, "split": ""}
                whose = (
                    {"speaker": "ellie", "talker": "interviewer"} if asked else {"speaker": f"p{person:02d}", "talker": "subject"}
                )
                text = short if rng.random() < 0.5 else said(person, visit, turn)
                prompt = "" if asked else prompts[rng.integers(len(prompts))]
                rows.append({**fields, **whose, "session": session, "text": text, "prompt": prompt, "depressed": float(person % 2)})
    return in_order(pd.DataFrame(rows))


@st.composite
def clean_utterances(draw):
    """Any number of speakers, each in one split or all in none, with files of their own or all utterances in one."""
    speakers, each, splits = draw(st.integers(10, 16)), draw(st.integers(4, 9)), draw(st.booleans())
    table = utterances(speakers, each, splits)
    if draw(st.booleans()):
        table["recording"] = table["session"] = table["speaker"]
        length = draw(st.floats(0.3, 9))
        table["start"] = length * table.groupby("speaker").cumcount()
        table["end"] = table["start"] + length + draw(st.floats(-0.1, 0.09))  # a pause, or times that touch
    if draw(st.booleans()):
        said_by_all, every = draw(
            st.sampled_from([("", 1), ("no", 1), ("nice to meet you too", 2)])
        )  # a sentence would be a script
        table.loc[table.index[:: draw(st.integers(every, 4))], "text"] = said_by_all
    return in_order(table)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(clean_interviews(), st.sampled_from([SPEAKERS_70_30, HELD_OUT_30, SPEAKERS_5_FOLD]), st.integers(0, 9))
def test_no_clean_interviews_alarm(table, protocol, seed):
    assert kinds(findings(table, "depression", protocol, seed=seed)) == set()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(clean_utterances(), st.sampled_from([SPEAKERS_70_30, OWN_SPLITS, SPEAKERS_5_FOLD]), st.integers(0, 9))
def test_no_clean_utterances_alarm(table, protocol, seed):
    assert findings(table, "emotion4", protocol, seed=seed) == []


@pytest.mark.parametrize(("speakers", "prompts"), [(100, 40), (190, 10)])
def test_prompts_that_were_given_by_chance_alarm_in_no_corpus_however_rare_the_diagnosis_is(speakers, prompts):
    """Each prompt to 8 speakers, 30 % of whom are depressed, whatever their diagnosis; many have healthy speakers alone."""
    alone = 0
    for number in range(40):
        rng = np.random.default_rng(number)
        ill = rng.permutation(speakers) < 0.3 * speakers
        given = np.concatenate([rng.choice(speakers, 8, replace=False) for _ in range(prompts)])
        table = pd.DataFrame(
            {"speaker": given, "prompt": np.repeat(np.arange(prompts), 8).astype(str), "depressed": 1.0 * ill[given]}
        )
        rest = pd.DataFrame({"speaker": np.arange(speakers), "prompt": "", "depressed": 1.0 * ill})
        alone += (table.groupby("prompt")["depressed"].nunique() == 1).any()
        assert find_interview_leaks(as_manifest(pd.concat([table, rest]))) == []
    assert alone > 12, "six speakers of one diagnosis would be an alarm"


def as_manifest(answers):
    """A corpus of answers in recordings of their own."""
    names = [f"a{number:04d}" for number in range(len(answers))]
    facts = {
        "segment": names,
        "recording": names,
        "session": "p" + answers["speaker"].astype(str).to_numpy(),
        "split": "",
        "text": "",
    }
    table = pd.DataFrame({**facts, "start": 0.0, "end": 2.0, "talker": "subject"})
    return AuditedCorpus(
        "audited", table.assign(**{name: answers[name].to_numpy() for name in ("prompt", "depressed")}, speaker=facts["session"])
    )


def test_the_sets_are_those_that_the_stages_have(tmp_path):
    """Against the stages' own way: units read from the segments of a features stage, then divided."""
    from trainables.tasks import TASKS
    from trainables.units import read_units

    shuffled = interviews().sample(frac=1, random_state=1).reset_index(drop=True)
    for table, task, protocol in ((shuffled, "depression", SPEAKERS_70_30), (utterances(), "emotion4", OWN_SPLITS)):
        stage = scored(task, protocol, seed=3)
        unit = "session" if task == "depression" else "segment"
        subjects = table[table["talker"] == "subject"]
        segments = subjects.drop_duplicates(unit).assign(unit=subjects[unit], position=0, seconds=5.0)
        segments.to_parquet(tmp_path / "segments.parquet", index=False)
        bits = ChainAudit({"audited": AuditedCorpus("audited", table)}).bits(stage)
        for name, part in stage.sets(read_units(tmp_path, TASKS[task])).items():
            rows = bits & {"train": 1, "dev": 2, "test": 4}[name] > 0
            assert set(table.loc[rows, unit]) == set(part.table["unit"])
            assert (table.loc[rows, "talker"] == "subject").all()
