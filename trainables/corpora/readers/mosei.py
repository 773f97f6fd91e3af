"""The reader for CMU-MOSEI, as the SDK's authors deliver it or as MMSA repacked it.

===========  ===========================================================  =====================================================
..           SDK (:mod:`trainables.corpora.readers.mosei_csd`)            MMSA (:mod:`trainables.corpora.readers.mosei_mmsa`)
===========  ===========================================================  =====================================================
labels       ``CMU_MOSEI_Labels.csd``: sentiment and six intensities      ``label.csv``: sentiment
audio        ``Raw/Audio/Full/WAV_16000/{video}.wav``, cut by the times   ``Raw/{video_id}/{clip_id}.wav``, one file a segment
text         ``Raw/Transcript/Segmented/Combined/{video}.txt``            ``label.csv``
split        the SDK's folds                                              ``label.csv``
segment      ``{video}[{row}]``, as the SDK names aligned segments        ``{video}$_${clip}``, as MMSA's own files do
===========  ===========================================================  =====================================================

Where a folder has both, the SDK's labels are read.

Nobody knows who speaks: **one video is one speaker** (``speaker`` and ``session`` are the video's id), as all users of the corpus
assume. The folds keep videos whole, but the paper counts about 1000 speakers in 3228 videos, so one person can be in training and
in test under two names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora.readers._files import find_below
from trainables.corpora.reading import About, Fact, Report
from trainables.errors import Faults

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

SETTINGS: tuple[str, ...] = ()
ABOUT = About(
    title="CMU-MOSEI: multimodal opinion sentiment and emotion intensity; English, sentences from YouTube monologues",
    licence="free for research; the videos remain their makers', and many have been taken down since",
    apply_at="https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK (labels, raw data) or https://github.com/thuiar/MMSA (clips)",
    layout="CMU_MOSEI_Labels.csd with Raw/Audio/Full/WAV_16000 and Raw/Transcript; or MMSA's label.csv with Raw/{video_id}",
    source="Zadeh et al., Multimodal language analysis in the wild: CMU-MOSEI dataset and dynamic fusion graph, ACL 2018",
)
KNOWN_MISSING: frozenset[str] = frozenset()

LABELS_CSD = "CMU_MOSEI_Labels.csd"
LABELS_CSV = "label.csv"

_SDK_SEGMENTS = {"train": 16327, "dev": 1871, "test": 4662}
_SDK_VIDEOS = {"train": 2249, "dev": 300, "test": 676}
_SDK_HOURS = 48.4
_SDK_ALL_SEGMENTS, _SDK_ALL_VIDEOS = 23259, 3293
_MMSA_SEGMENTS = {"train": 16326, "dev": 1871, "test": 4659}


def find_root(folder: Path) -> Path | None:
    """Where the labels of either flavour lie. MMSA's other corpora have the same layout: only the facts tell them from this one."""
    return find_below(folder, lambda candidate: _is_sdk(candidate) or _is_mmsa(candidate))


def options_from(settings: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """This reader has no settings."""
    return {}


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """The labelled segments of the flavour that is found."""
    root = Path(source.root)
    if _is_sdk(root):
        from trainables.corpora.readers.mosei_csd import read_sdk

        return read_sdk(root, root / LABELS_CSD, report)
    if not (root / LABELS_CSV).is_file():
        report.add(f"{root}: neither {LABELS_CSD} nor {LABELS_CSV} is there any more; copy the labels again")
        return None
    from trainables.corpora.readers.mosei_mmsa import read_mmsa

    return read_mmsa(root, root / LABELS_CSV, report)


def facts(table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
    """Segments by split; for the SDK's labels also videos, hours of segments, and what its file holds in all and in no fold.

    Sources: the SDK's folds and the copy of its labels in s3prl (``downstream/mosei/utility``): 3,293 videos with 23,259 segments;
    68 videos with 399 of them are in no fold, and two of the 678 test videos have no labels. MMSA's are those its users report.
    """
    splits = table["split"]
    if not _is_sdk(Path(source.root)):
        return [Fact(f"segments in {split}", count, int((splits == split).sum())) for split, count in _MMSA_SEGMENTS.items()]
    from trainables.corpora.readers.mosei_csd import count_segments
    from trainables.corpora.readers.mosei_folds import FOLDS

    videos = table.groupby("split")["session"].nunique()
    counts = count_segments(Path(source.root) / LABELS_CSD)
    unfolded = sum(count for video, count in counts.items() if video not in FOLDS)
    return [
        Fact("segments in all", _SDK_ALL_SEGMENTS, sum(counts.values())),
        Fact("videos in all", _SDK_ALL_VIDEOS, len(counts)),
        Fact("segments in no fold", _SDK_ALL_SEGMENTS - sum(_SDK_SEGMENTS.values()), unfolded),
        *(Fact(f"segments in {split}", count, int((splits == split).sum())) for split, count in _SDK_SEGMENTS.items()),
        *(Fact(f"videos in {split}", count, int(videos.get(split, 0))) for split, count in _SDK_VIDEOS.items()),
        Fact("hours of segments", _SDK_HOURS, float((table["end"] - table["start"]).sum() / 3600), 0.1),
    ]


def _is_sdk(folder: Path) -> bool:
    return (folder / LABELS_CSD).is_file()


def _is_mmsa(folder: Path) -> bool:
    if not (folder / LABELS_CSV).is_file():
        return False
    with (folder / LABELS_CSV).open("rb") as file:
        header = file.readline(1000).decode("utf-8-sig", errors="replace")
    return {"video_id", "clip_id"} <= {name.strip().strip('"') for name in header.split(",")}
