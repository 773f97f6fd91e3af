"""The MDD corpus of ReCLR: a manifest, because the interviews have no public layout.

The corpus is described in section 3.1 of the paper named in :data:`ABOUT` (``papers/reclr.txt``): interviews of 588 healthy and 545
depressed subjects, of which only the subject's turns, as a speaker diarization finds them, are used. Whoever has it, or other
interviews, writes ``manifest.csv`` (or .tsv, .jsonl, .parquet) into the root, one row per turn::

    file_name,start,end,speaker,session,talker,diagnosis,gender,text
    wav/0001.wav,0.0,2.4,doctor-3,0001,interviewer,depressed,female,how have you been sleeping
    wav/0001.wav,2.4,9.8,s0001,0001,subject,depressed,female,not at all well
    wav/0002.wav,0.0,1.9,doctor-3,0002,interviewer,healthy,male,how have you been sleeping
    wav/0002.wav,1.9,6.0,s0002,0002,subject,healthy,male,as always

=============  =========  ========================================================================================================
column         needed     values
=============  =========  ========================================================================================================
file_name      yes        path of the recording, relative to the manifest; any other alias of ``recording``
speaker        yes        who speaks, the interviewer too; the unit of every split
diagnosis      yes        depressed (patient, 1) or healthy (control, 0), and the other words of
                          :data:`trainables.corpora.values.DIAGNOSES`; also 'depressed', 'subject_type', 'group'. A session's: it
                          may be left empty in all of its rows but one
start, end     no         of the turn within the recording, s; the whole recording where they are left out
session        no         one interview; the speaker where it is left out
talker         no         subject (patient, participant, interviewee) or interviewer (doctor, clinician, therapist, agent); also
                          'turn'; all rows are the subject's where it is left out
gender, text   no         as in every manifest
phq8, bdi_ii   no         scores of the subject
=============  =========  ========================================================================================================

The paper's facts are those of its own selection, so other interviews in this role deviate from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.corpora import generic
from trainables.corpora.columns import ALIASES
from trainables.corpora.generic import SETTINGS, find_root, options_from
from trainables.corpora.reading import About, Fact, Report
from trainables.corpora.values import replace_words

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

__all__ = ["ABOUT", "KNOWN_MISSING", "SETTINGS", "facts", "find_root", "options_from", "read_manifest"]

KNOWN_MISSING: frozenset[str] = frozenset()
ABOUT = About(
    title="MDD: 1000 hours of interviews with healthy and depressed subjects",
    licence="not published; clinical data",
    apply_at="the authors of the paper",
    layout="manifest.csv with file_name, start, end, speaker, session, talker, diagnosis",
    source="ReCLR: Reference-Enhanced Contrastive Learning of Audio Representation for Depression Detection (section 3.1)",
)

_ALIASES = ALIASES | {"depressed": ("diagnosis", "subject_type", "group"), "talker": ("turn",)}
_TALKERS = {
    **dict.fromkeys(("patient", "participant", "interviewee"), "subject"),
    **dict.fromkeys(("doctor", "clinician", "therapist", "psychiatrist", "agent"), "interviewer"),
}
_HEALTHY, _DEPRESSED = 588, 545


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """The manifest as the generic reader reads it, with more names for a diagnosis and for who talks."""
    table = generic.read_manifest(source, report, _ALIASES)
    if table is not None:
        table["talker"] = replace_words(table["talker"], _TALKERS)
    return table


def facts(table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
    """Healthy and depressed subjects. The paper's 1000 hours are of more interviews than it picked."""
    subjects = table[table["talker"] == "subject"].groupby("speaker")["depressed"].first()
    return [
        Fact("healthy subjects", _HEALTHY, int((subjects == 0).sum())),
        Fact("depressed subjects", _DEPRESSED, int((subjects == 1).sum())),
    ]
