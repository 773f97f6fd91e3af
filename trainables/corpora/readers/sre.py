"""The SRE corpus of the self-reference effect paradigm: a manifest, because the recordings have no public layout.

The corpus is described in section 4.1 and Tables 1 to 3 of the paper named in :data:`ABOUT` (``papers/cbam_resnet.txt``): 25
depressed and 25 healthy students did four tasks on material of three emotional valences. Whoever has it writes ``manifest.csv`` (or
.tsv, .jsonl, .parquet) into the root, one row per recording or per segment of one::

    file_name,speaker,subject_type,task,emotional_valence,gender,bdi_ii,material
    wav/d01_read_pos.wav,d01,depressed,vocabulary reading,positive,female,17,words-1
    wav/d01_interview_neg.wav,d01,depressed,interview,negative,female,17,question-7
    wav/h01_read_pos.wav,h01,healthy,vocabulary reading,positive,male,4,words-1
    wav/h01_picture_neu.wav,h01,healthy,picture description,neutral,male,4,picture-2

==================  =========  ===================================================================================================
column              needed     values
==================  =========  ===================================================================================================
file_name           yes        path of the recording, relative to the manifest; any other alias of ``recording``
speaker             yes        who speaks; also 'subject'
subject_type        yes        depressed (patient, 1) or healthy (control, 0), and the other words of
                               :data:`trainables.corpora.values.DIAGNOSES`; also 'group', 'depressed'
task                no         vocabulary reading, essay reading, interview, picture description; the first word alone will do
emotional_valence   no         positive, neutral, negative: of the material, not of the answer
gender              no         female (f), male (m)
bdi_ii              no         BDI-II score of the subject, 0 to 63
material            no         name of the word list, essay, question or picture, alike for all subjects: becomes ``prompt``
start, end          no         of a segment within its recording, s
session, text       no         as in every manifest; a session is a subject's visit where it is left out
==================  =========  ===================================================================================================

Tables that divide by task, valence or gender need those columns. What the paper leaves open, and is decided here: reading is
scripted speech and the other tasks are improvised (the paper: 'automatic' and 'spontaneous'); a BDI-II of 14 or more must go with
depressed and a lower one with healthy (its criteria of enrolment), else the manifest is wrong somewhere and is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.corpora import generic
from trainables.corpora.columns import ALIASES
from trainables.corpora.generic import SETTINGS, find_root, options_from
from trainables.corpora.manifest import in_order
from trainables.corpora.reading import About, Fact, Report, listing
from trainables.corpora.values import use_words

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

__all__ = ["ABOUT", "KNOWN_MISSING", "SETTINGS", "facts", "find_root", "options_from", "read_manifest"]

KNOWN_MISSING: frozenset[str] = frozenset()
ABOUT = About(
    title="SRE: Mandarin speech of depressed and healthy students in four tasks on self-reference, 44.1 kHz",
    licence="not published; clinical data",
    apply_at="the authors of the paper, Northwest Normal University (luxy@nwnu.edu.cn)",
    layout="manifest.csv with file_name, speaker, subject_type, task, emotional_valence, gender, bdi_ii",
    source="Lu, Shi, Liu, Yuan: Speech depression recognition based on attentional residual network (section 4.1, Tables 1 to 3)",
)

_ALIASES = ALIASES | {
    "depressed": ("subject_type", "group", "diagnosis"),
    "speaker": (*ALIASES["speaker"], "subject", "subject_id", "participant", "participant_id"),
}
_READ_TASKS = ("vocabulary reading", "essay reading")
_TASKS = (*_READ_TASKS, "interview", "picture description")
_WORDS = {
    "task": {word: task for task in _TASKS for word in (task, task.split()[0])},
    "stimulus": {word: word for word in ("positive", "neutral", "negative")},
    "gender": {"f": "female", "female": "female", "m": "male", "male": "male"},
}
_LEAST_DEPRESSED, _HIGHEST_BDI = 14, 63

# Tables 1 to 3: of the depressed and of the healthy subjects. A sample is a subject's recording in one task.
_SUBJECTS, _WOMEN, _BDI_MEANS, _SAMPLES, _SAMPLE_MINUTES = (25, 25), (15, 13), (16.52, 5.52), (96, 100), (3.25, 2.67)


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """The manifest with its words made the documented ones; other words are faults, because tables divide by them."""
    table = generic.read_manifest(source, report, _ALIASES)
    if table is None:
        return None
    for name, words in _WORDS.items():
        if name in table:
            use_words(table, name, words, source.role, report)
    if "style" not in table and "task" in table:
        styles = {"": ""} | {task: "scripted" if task in _READ_TASKS else "improvised" for task in _TASKS}
        table["style"] = table["task"].map(styles).fillna("").astype("str")
    if "bdi_ii" in table and "depressed" in table:
        _check_scores(table[table["talker"] == "subject"], report)
    return in_order(table)


def _check_scores(subjects: pd.DataFrame, report: Report) -> None:
    scores = subjects["bdi_ii"]
    outside = subjects[(scores < 0) | (scores > _HIGHEST_BDI)]
    if len(outside):
        report.add(f"bdi_ii must be from 0 to {_HIGHEST_BDI}; it is not for speakers {listing(outside['speaker'])}; mend it")
    changing = subjects.groupby("speaker")["bdi_ii"].nunique()
    if (changing > 1).any():
        report.add(f"bdi_ii must be one value a speaker; it is not for {listing(changing.index[changing > 1])}; mend it")
    contrary = subjects[scores.notna() & ((scores >= _LEAST_DEPRESSED) != (subjects["depressed"] == 1))]
    if len(contrary):
        report.add(
            f"a BDI-II of {_LEAST_DEPRESSED} or more goes with depressed and a lower one with healthy; not so for speakers "
            f"{listing(contrary['speaker'])}: mend bdi_ii or subject_type"
        )


def facts(table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
    """Subjects, women, mean BDI-II and samples of each group (Tables 1 and 3), and hours (Table 2).

    Hours are the mean length of a sample times their number in each group; 5 % are allowed, because the table does not say whether
    silence had been cut.
    """
    subjects = table[table["talker"] == "subject"]
    people = subjects.groupby("speaker").first()
    found = []
    for number, (group, label) in enumerate((("depressed", 1), ("healthy", 0))):
        members = people[people["depressed"] == label]
        found.append(Fact(f"{group} subjects", _SUBJECTS[number], len(members)))
        if "gender" in people:
            found.append(Fact(f"{group} women", _WOMEN[number], int((members["gender"] == "female").sum())))
        if "bdi_ii" in people:
            found.append(Fact(f"mean BDI-II of the {group}", _BDI_MEANS[number], float(members["bdi_ii"].mean()), tolerance=0.005))
        if "task" in subjects:
            tasks = subjects.loc[(subjects["depressed"] == label) & (subjects["task"] != ""), ["speaker", "task"]]
            found.append(Fact(f"samples (subject and task) of the {group}", _SAMPLES[number], len(tasks.drop_duplicates())))
    expected = sum(count * minutes for count, minutes in zip(_SAMPLES, _SAMPLE_MINUTES, strict=True)) / 60
    return [*found, Fact("hours", round(expected, 2), hours, tolerance=0.05 * expected)]
