"""LibriSpeech in its official layout: all subsets that are there, the mini ones too.

::

    LibriSpeech/
      SPEAKERS.TXT                                     ; comments, then  ID | SEX | SUBSET | MINUTES | NAME
      train-clean-100/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac
                                         /<speaker>-<chapter>.trans.txt    ID TEXT, upper case

Decisions:

- Own walk, not torchaudio or lhotse: ``torchaudio.datasets.LIBRISPEECH`` refuses the mini subsets and reads a chapter's transcripts
  again for each of its utterances, and lhotse is an optional package whose recipe opens every recording, which a reader must not.
- The split is the beginning of the subset's name (train, dev, test), so 'clean' and 'other' are together; ``subsets`` in
  corpora.toml chooses: ``subsets = ["train-clean-100", "dev-clean"]``.
- A session is a chapter: one person reads one text at one sitting.
- Transcripts and SPEAKERS.TXT may be missing: no study needs them. An utterance that has a transcript but no recording is a row
  all the same, so that it is told as missing audio.
- Files are listed folder by folder and never looked at one by one: there are 280,000 of them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainables.corpora.manifest import in_order
from trainables.corpora.names import printable
from trainables.corpora.readers._files import find_below, read_text, visible
from trainables.corpora.reading import About, Fact, Report, listing
from trainables.corpora.tables import AUDIO_SUFFIXES
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

SETTINGS = ("subsets",)
KNOWN_MISSING: frozenset[str] = frozenset()
ABOUT = About(
    title="LibriSpeech: English audiobooks read by volunteers, 1000 hours, 16 kHz",
    licence="CC BY 4.0",
    apply_at="nothing to apply for: https://www.openslr.org/12 (mini subsets: https://www.openslr.org/31)",
    layout="folders train-clean-100, dev-clean, ... with <speaker>/<chapter>/<speaker>-<chapter>-<number>.flac, and SPEAKERS.TXT",
    source="Panayotov, Chen, Povey, Khudanpur: Librispeech: an ASR corpus based on public domain audio books, ICASSP 2015",
)

_SUBSET = re.compile(r"(train|dev|test)-(?:clean|other)(?:-[0-9]+)?")
_UTTERANCE = re.compile(r"[0-9]+-[0-9]+-[0-9]+")
_GENDERS = {"F": "female", "M": "male"}


class _Subset(NamedTuple):
    """What is known of a subset; women and men are speakers."""

    utterances: int
    women: int
    men: int
    hours: float


_SUBSETS = {
    "train-clean-100": _Subset(28539, 125, 126, 100.6),
    "train-clean-360": _Subset(104014, 439, 482, 363.6),
    "train-other-500": _Subset(148688, 564, 602, 496.7),
    "dev-clean": _Subset(2703, 20, 20, 5.4),
    "dev-other": _Subset(2864, 16, 17, 5.3),
    "test-clean": _Subset(2620, 20, 20, 5.4),
    "test-other": _Subset(2939, 17, 16, 5.1),
}
"""The official subsets: speakers and hours by Table 1 of the paper, utterances by the release."""
_MINI_UTTERANCES = {"train-clean-5": 1519, "dev-clean-2": 1089}
"""The mini subsets, by Kaldi's recipe for them."""
_HOURS_TOLERANCE = 0.2
"""Of each subset; the paper rounds to 0.1 h."""


def find_root(folder: Path) -> Path | None:
    """The folder that holds the subsets' folders."""
    return find_below(folder, lambda candidate: any(_has_chapters(subset) for subset in _subset_folders(candidate)))


def _subset_folders(root: Path) -> list[Path]:
    return [path for path in visible(root) if _SUBSET.fullmatch(path.name) and path.is_dir()]


def _has_chapters(subset: Path) -> bool:
    return any(path.name.isdigit() for path in subset.glob("[0-9]*/[0-9]*"))


def options_from(settings: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """``subsets``: names of the subsets to read; all that are there where it is left out."""
    subsets = settings.get("subsets", [])
    if not isinstance(subsets, list) or not all(isinstance(name, str) and _SUBSET.fullmatch(name) for name in subsets):
        faults.add(f'subsets must be a list of subset names such as ["train-clean-100", "dev-clean"], found {subsets!r}')
        return {}
    return {"subsets": sorted(set(subsets))}


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """One row per utterance, with the transcript and the reader's gender where the corpus' text files are there."""
    import pandas as pd

    root = Path(source.root)
    wanted, there = source.options.get("subsets") or [], _subset_folders(root)
    if missing := set(wanted) - {folder.name for folder in there}:
        report.add(f"subsets {listing(sorted(missing))} are not in {root}; found there: {listing(folder.name for folder in there)}")
        return None
    folders = [folder for folder in there if not wanted or folder.name in wanted]
    try:
        genders = _genders(root, report)
        chapters = [chapter for folder in folders for chapter in _chapters(folder, report)]
        rows = [row for chapter in chapters for row in _chapter_rows(chapter, genders or {}, report)]
    except UserError as error:
        report.add(str(error))
        return None
    if not rows:
        report.add(f"no utterances in {root}; expected {ABOUT.layout}")
        return None
    table = pd.DataFrame(rows, columns=["segment", "recording", "speaker", "session", "split", "text", "gender"], dtype="str")
    _check_subsets(table, report)
    if genders is not None:
        strangers = sorted(set(table["speaker"]) - set(genders))
        report.note("speakers that SPEAKERS.TXT does not list (they stay, without a gender)", strangers)
    return in_order(table.assign(start=0.0, end=float("nan"), talker="subject"))


def _check_subsets(table: pd.DataFrame, report: Report) -> None:
    """The mini subsets are parts of official ones: read together, their utterances would count twice."""
    twice = table.loc[table["segment"].duplicated(keep=False), "recording"]
    if len(twice):
        names = listing(sorted(twice.str.split("/").str[0].unique()))
        report.add(f"the subsets {names} share utterances ({listing(twice)}); choose some with `subsets = [...]` in corpora.toml")


def _genders(root: Path, report: Report) -> dict[str, str] | None:
    """Speaker to gender; None where there is no SPEAKERS.TXT.

    Of its five fields only the last, the name, may hold a '|' (speaker 60 is '|CBW|Simon').
    """
    path = root / "SPEAKERS.TXT"
    if not path.is_file():
        return None
    genders = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith(";"):
            continue
        fields = [field.strip() for field in line.split("|", maxsplit=4)]
        if len(fields) < 5 or fields[1] not in _GENDERS:
            expected = "`ID | SEX | SUBSET | MINUTES | NAME` with F or M as SEX"
            report.add(f"{path}: line {number} is not {expected}: {line!r}; copy the file again")
            continue
        genders[fields[0]] = _GENDERS[fields[1]]
    return genders


class _Chapter(NamedTuple):
    """A chapter's folder, and the names of the files in it."""

    folder: Path
    files: list[str]

    @property
    def session(self) -> str:
        return f"{self.folder.parent.name}-{self.folder.name}"


def _chapters(subset: Path, report: Report) -> Iterator[_Chapter]:
    """The chapters of all speakers of a subset; recordings that lie anywhere else in it are skipped."""
    speakers, outside = _listed(subset)
    misplaced = _recordings(subset, outside)
    for speaker in speakers:
        chapters, outside = _listed(subset / speaker)
        misplaced += _recordings(subset / speaker, outside)
        for chapter in chapters:
            folder = subset / speaker / chapter
            below, files = _listed(folder)
            for name in below:
                misplaced += _recordings(folder / name, _listed(folder / name)[1])
            yield _Chapter(folder, files)
    report.skip("recordings that lie in no folder <speaker>/<chapter>", misplaced)


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in a folder, sorted, without those that begin with a dot."""
    with os.scandir(folder) as entries:
        kinds = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    return [name for name, is_folder in kinds if is_folder], [name for name, is_folder in kinds if not is_folder]


def _recordings(folder: Path, files: list[str]) -> list[str]:
    return [printable(str(folder / name)) for name in files if os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES]


def _chapter_rows(chapter: _Chapter, genders: dict[str, str], report: Report) -> Iterator[tuple[str, ...]]:
    folder, session = chapter.folder, chapter.session
    speaker, subset = folder.parent.name, folder.parent.parent.name
    transcript = f"{session}.trans.txt"
    texts = _transcripts(folder / transcript, report) if transcript in chapter.files else {}
    spoken = {name.removesuffix(".flac") for name in chapter.files if name.endswith(".flac")}
    unlike = [name for name in chapter.files if not (name.endswith(".flac") and _belongs(name.removesuffix(".flac"), session))]
    report.skip("recordings whose name is not <speaker>-<chapter>-<number>.flac", _recordings(folder, unlike))
    foreign = [f"{folder / transcript}: {name}" for name in texts if not _belongs(name, session)]
    report.skip("transcripts in the file of another chapter", foreign)
    untranscribed = sorted(name for name in spoken - texts.keys() if _belongs(name, session))
    report.note("utterances without a transcript (they stay, with an empty text)", untranscribed)
    for name in sorted({*spoken, *texts}):
        if _belongs(name, session):
            recording = f"{subset}/{speaker}/{folder.name}/{name}.flac"
            yield name, recording, speaker, session, subset.split("-")[0], texts.get(name, ""), genders.get(speaker, "")


def _belongs(name: str, session: str) -> bool:
    return name.startswith(f"{session}-") and _UTTERANCE.fullmatch(name) is not None


def _transcripts(path: Path, report: Report) -> dict[str, str]:
    texts = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name, _, text = line.strip().partition(" ")
        if name and not _UTTERANCE.fullmatch(name):
            report.add(f"{path}: line {number} begins with no <speaker>-<chapter>-<number>: {line[:40]!r}; copy the file again")
        elif name:
            texts[name] = text.strip()
    return texts


def facts(table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
    """Utterances, speakers and hours of the official subsets that are there, and utterances of the mini ones.

    Hours are those of all that are there together, so they can be compared only where no subset is of another kind.
    """
    names = table["recording"].str.split("/").str[0]
    there = Counter(names)
    genders = table.drop_duplicates("speaker").groupby(names)["gender"].value_counts()
    found = [Fact(f"utterances of {name}", _MINI_UTTERANCES[name], there[name]) for name in sorted(there.keys() & _MINI_UTTERANCES)]
    official = [name for name in _SUBSETS if name in there]
    for name in official:
        subset = _SUBSETS[name]
        speakers = table.loc[names == name, "speaker"].nunique()
        found.append(Fact(f"utterances of {name}", subset.utterances, there[name]))
        found.append(Fact(f"speakers of {name}", subset.women + subset.men, speakers))
        if table["gender"].any():
            found.append(Fact(f"women in {name}", subset.women, int(genders.get((name, "female"), 0))))
            found.append(Fact(f"men in {name}", subset.men, int(genders.get((name, "male"), 0))))
    if official and len(official) == len(there):
        expected = round(sum(_SUBSETS[name].hours for name in official), 1)
        found.append(Fact("hours", expected, hours, _HOURS_TOLERANCE * len(official)))
    return found
