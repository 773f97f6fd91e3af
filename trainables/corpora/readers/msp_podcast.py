"""MSP-Podcast, releases 1.8 to 2.0: turns cut from podcasts, with emotions by consensus of at least five raters.

One row per recording, from ``labels_consensus.csv`` or ``.json`` (1.8 spells it ``labels_concensus``, in ``label/``). Decisions:

* **Splits** are the table's ``Split_Set``: Train, Validation (1.8) or Development, Test1 ('test') and Test2 ('test2'). Test3 has no
  labels and is left out.
* **One speaker, one split.** The releases are not quite disjoint: in 2.0 Train and Test2 share two speakers, Development shares one
  with Test1 and three with Test2 (ESPnet's recipe). Such a speaker's turns stay in the test sets and are left out of Train and
  Development, counted; those of one who is in both of these, out of Train.
* **Unknown speakers.** A turn whose ``SpkrID`` is Unknown is a speaker of its own: several people of one podcast may be unknown,
  and taking two of them for one would be a wrong label, whereas taking one for two only forgoes something.
* **Emotions** become IEMOCAP's codes, in which 'xxx' is what the raters did not agree on. Valence, activation and dominance are on
  the corpus' scale from 1 to 7.
* **Names on disk** are matched in any case. Of several folders that may hold the recordings, the labels or the transcripts, the
  first counts that does hold some.
* **Recordings that the table does not list** are told: those of Test3 are shipped, but not their labels.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.corpora.manifest import in_order
from trainables.corpora.names import printable
from trainables.corpora.readers._files import find_below, read_rows, read_text
from trainables.corpora.reading import About, Fact, Report, listing
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

SETTINGS = ("release",)
"""``release = "1.11"``: which release it is, where neither readme.txt nor the number of turns tells."""

ABOUT = About(
    title="MSP-Podcast (English): spontaneous turns from podcasts with categorical and dimensional emotions",
    licence="free for academic research, after an institution has signed the licence; not to be passed on",
    apply_at="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
    layout="Audios/MSP-PODCAST_0001_0008.wav ... and Labels/labels_consensus.csv or .json (1.8: label/labels_concensus.json)",
    source="Lotfian and Busso, IEEE Trans. Affective Computing 10(4), 2019; Busso et al., arXiv:2509.09791",
)

_AUDIO, _LABELS, _TRANSCRIPTS = ("audios", "audio"), ("labels", "label"), ("transcripts", "transcript")
_TABLES = ("labels_consensus.csv", "labels_concensus.csv", "labels_consensus.json", "labels_concensus.json")
_COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")

_SPELT = tuple(spelling for name in _AUDIO for spelling in (name.capitalize(), name, name.upper()))
KNOWN_MISSING = frozenset(
    f"{folder}/MSP-PODCAST_1909_1017.wav" for outer in _SPELT for folder in (outer, *(f"{outer}/{inner}" for inner in _SPELT))
)
"""Listed in 2.0 but not shipped (ESPnet's recipe)."""

_SPLITS = {"train": "train", "validation": "dev", "development": "dev", "test1": "test", "test2": "test2"}
_UNLABELLED_SPLIT = "test3"
_KEEPS_SPEAKER = {"test": 0, "test2": 0, "dev": 1, "train": 2}
_EMOTIONS = dict(zip("AHSNUFDCOX", ("ang", "hap", "sad", "neu", "sur", "fea", "dis", "con", "oth", "xxx"), strict=True))
_GENDERS = {"male": "male", "female": "female", "m": "male", "f": "female", "unknown": "", "": ""}
_LOWEST, _HIGHEST = 1, 7

_TURNS: dict[str, dict[str, int]] = {
    "1.8": {"all": 73_042, "dev": 7_800, "test": 15_326},  # EmoBox' lists
    "1.9": {},  # nothing that is documented
    "1.10": {},
    "1.11": {"all": 149_307, "train": 84_030, "dev": 19_815, "test": 30_647, "test2": 14_815},  # the lab's page
    "1.12": {"all": 203_936},  # its readme.txt: 207,136 less 3,200 of Test3
    "2.0": {"all": 264_705},  # ESPnet's recipe
}
"""Labelled turns of each release, by our split."""
_HOURS = {"1.11": 237.9, "1.12": 324.4, "2.0": 409.0}
"""Of all recordings, by the lab's page, readme.txt and ESPnet's recipe; those of Test3 are in them but not in the manifest."""
_HOURS_TOLERANCE = 0.03
_SIZE_TOLERANCE = 0.02
_UNKNOWN_SPEAKERS = {"2.0": 44_436}
_THREADS = 8


def find_root(folder: Path) -> Path | None:
    """The folder with the recordings' and the labels' folders."""
    return find_below(folder, lambda path: bool(_folders(path, _AUDIO)) and _table_in(path) is not None)


def options_from(settings: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """``release``: a known one, as text or number; '' where it is to be worked out."""
    release = str(settings.get("release", ""))
    if release and release not in _TURNS:
        faults.add(f'release must be one of {", ".join(_TURNS)}, in quotes (release = "1.11"); found {settings["release"]!r}')
    return {"release": release}


def read_manifest(source: CorpusSource, report: Report) -> pd.DataFrame | None:
    """All labelled turns of the release, without those that the module's decisions leave out.

    Args:
        source: The corpus; its options are those of :func:`options_from`.
        report: Told every unknown word and number in the table, and what was left out.
    """
    root = Path(source.root)
    try:
        labels = _labels(root)
    except UserError as error:
        report.add(str(error))
        return None
    audio, recordings = _recordings(root)
    _tell_unlisted(audio, recordings, labels["segment"], root, report)
    unlabelled = labels["split"] == _UNLABELLED_SPLIT
    report.skip("turns of Test3, which has no labels", labels.loc[unlabelled, "segment"])
    labels = labels[~unlabelled].reset_index(drop=True)
    names = [recordings.get(f"{segment.lower()}.wav", f"{segment}.wav") for segment in labels["segment"]]
    table = _converted(labels, root, report).assign(recording=[f"{audio}/{name}" for name in names])
    if report.messages:
        return None
    if not len(table):
        report.add(f"{_table_in(root)}: lists no labelled turn; copy it again")
        return None
    table = _one_split_a_speaker(table, report)
    try:
        return in_order(table.assign(text=_texts(root, table["segment"])))
    except UserError as error:
        report.add(str(error))
        return None


def facts(table: pd.DataFrame, source: CorpusSource, hours: float) -> list[Fact]:
    """Turns that the release's table lists in each split, its turns of unknown speakers, and the hours of its recordings.

    Turns are counted in the table as delivered, before speakers in several splits are left out. Nothing is known of 1.8's hours,
    of 1.9 and 1.10, nor of a release that is not recognised, of which no fact is given.
    """
    labels = _labels(Path(source.root))
    labels = labels[labels["split"] != _UNLABELLED_SPLIT]
    release = source.options.get("release") or _release(Path(source.root), len(labels))
    splits = labels["split"].map(_SPLITS)
    found = [
        Fact(f"turns in {split} of {release}", turns, len(labels) if split == "all" else int((splits == split).sum()))
        for split, turns in _TURNS.get(release, {}).items()
    ]
    if release in _UNKNOWN_SPEAKERS:
        unknown = int(((splits == "train") & (labels["speaker"] == "")).sum())
        found.append(Fact("turns of unknown speakers in train", _UNKNOWN_SPEAKERS[release], unknown))
    if release in _HOURS:
        found.append(Fact("hours", _HOURS[release], hours, _HOURS[release] * _HOURS_TOLERANCE))
    return found


def _folders(root: Path, names: tuple[str, ...]) -> list[Path]:
    """The folders of these names, in any case; before each those of such a name in it, as some archives unpack."""
    outer = _named(root, names)
    return [folder for path in outer if path.is_dir() for folder in (*_inner(path, names), path)]


def _inner(folder: Path, names: tuple[str, ...]) -> list[Path]:
    return [path for path in _named(folder, names) if path.is_dir()]


def _named(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """What a folder, which may have a quarter million files, holds under these names in any case; in the order of the names."""
    found = [name for name in os.listdir(folder) if name.lower() in names]
    return [folder / name for name in sorted(found, key=lambda name: (names.index(name.lower()), name))]


def _table_in(root: Path) -> Path | None:
    folders = (*_folders(root, _LABELS), root)
    return next((path for folder in folders for path in _named(folder, _TABLES) if path.is_file()), None)


def _recordings(root: Path) -> tuple[str, dict[str, str]]:
    """The folder of the recordings, relative to the root, and their names by those in lower case; no file is looked at."""
    folders = _folders(root, _AUDIO)
    for folder in folders:
        names = [name for name in os.listdir(folder) if name.lower().endswith(".wav") and not name.startswith(".")]
        if names:
            return folder.relative_to(root).as_posix(), {name.lower(): name for name in sorted(names)}
    return folders[0].relative_to(root).as_posix() if folders else "Audios", {}


def _tell_unlisted(audio: str, recordings: dict[str, str], segments: pd.Series, root: Path, report: Report) -> None:
    listed = {f"{segment.lower()}.wav" for segment in segments}
    names = sorted(f"{audio}/{name}" for key, name in recordings.items() if key not in listed)
    report.skip("recordings that the table does not list (those of Test3 are shipped without labels)", map(printable, names))


def _labels(root: Path) -> pd.DataFrame:
    """The consensus table as text: segment, emotion, activation, valence, dominance, speaker ('' if unknown), gender, split.

    Raises:
        UserError: There is none, it cannot be read, or it lacks a column.
    """
    import pandas as pd

    path = _table_in(root)
    if path is None:
        raise UserError(f"{root}: no {_TABLES[0]} or .json in Labels; copy it there")
    table = read_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    by_lower = {name.lower(): name for name in table.columns}
    missing = [name for name in _COLUMNS if name.lower() not in by_lower]
    if missing:
        raise UserError(f"{path}: lacks the columns {', '.join(missing)}; found {', '.join(table.columns)}")
    cells = {name: table[by_lower[name.lower()]].str.strip() for name in _COLUMNS}
    speaker = cells["SpkrID"].str.replace(r"\.0$", "", regex=True)  # a spreadsheet's or pandas' way with numbers and gaps
    return pd.DataFrame(
        {
            "segment": cells["FileName"].str.replace(r"\.wav$", "", case=False, regex=True),
            "emotion": cells["EmoClass"].str.upper(),
            "activation": cells["EmoAct"],
            "valence": cells["EmoVal"],
            "dominance": cells["EmoDom"],
            "speaker": speaker.where(~speaker.str.lower().isin(("unknown", "nan")), ""),
            "gender": cells["Gender"].str.lower(),
            "split": cells["Split_Set"].str.lower(),
        }
    )


def _json_rows(path: Path) -> pd.DataFrame:
    """``{"MSP-PODCAST_0001_0008.wav": {"EmoClass": "N", ...}}`` as a table of text."""
    import pandas as pd

    try:
        entries = json.loads(read_text(path), parse_int=str, parse_float=str)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON ({error}); copy it again") from error
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise UserError(f"{path}: expected an object with one object for each recording; copy it again")
    rows = [{"FileName": name, **entry} for name, entry in entries.items()]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [["" if row.get(key) is None else str(row[key]) for key in columns] for row in rows]
    try:
        return pd.DataFrame(cells, columns=columns, dtype="str")
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: holds text that is not Unicode ({error.reason}); copy it again") from error


def _converted(labels: pd.DataFrame, root: Path, report: Report) -> pd.DataFrame:
    """The manifest without recordings and text, with what cannot be converted told as a fault."""
    path = _table_in(root)
    podcast = labels["segment"].str.extract(r"^(MSP-PODCAST_\d+)_", flags=re.IGNORECASE, expand=False)
    table = labels.assign(
        start=0.0,
        end=float("nan"),
        speaker=labels["speaker"].where(labels["speaker"] != "", "unknown " + labels["segment"]),
        talker="subject",
        session=podcast.fillna(labels["segment"]),
    )
    words = (("split", "Split_Set", _SPLITS), ("emotion", "EmoClass", {**_EMOTIONS, "": ""}), ("gender", "Gender", _GENDERS))
    for column, name, known in words:
        values = labels[column].map(known)
        if values.isna().any():
            expected = ", ".join(word for word in known if word)
            report.add(f"{path}: {name} holds {listing(labels.loc[values.isna(), column])}; expected one of {expected}")
        table[column] = values
    for column in ("activation", "valence", "dominance"):
        table[column] = _scores(labels[column], f"{path}: {column}", report)
    return table


def _scores(words: pd.Series, what: str, report: Report) -> pd.Series:
    import pandas as pd

    missing = words.str.lower().isin(("", "nan"))
    values = pd.to_numeric(words.where(~missing), errors="coerce").astype("float64")
    wrong = ~missing & ~values.between(_LOWEST, _HIGHEST)
    if wrong.any():
        report.add(f"{what} holds {listing(words[wrong])}; expected a number from {_LOWEST} to {_HIGHEST}")
    return values


def _one_split_a_speaker(table: pd.DataFrame, report: Report) -> pd.DataFrame:
    """Without the turns in training of speakers who are also in development or test, and in development of those in test.

    Speakers whom Test1 and Test2 share stay in both: no model is trained on either.
    """
    rank = table["split"].map(_KEEPS_SPEAKER)
    first = rank.groupby(table["speaker"]).transform("min")
    for split, others in (("dev", "a test set"), ("train", "development or a test set")):
        lost = table.loc[(table["split"] == split) & (first < rank), "segment"]
        report.skip(f"turns in {split} of speakers who are also in {others}", lost)
    return table[rank == first]


def _texts(root: Path, segments: pd.Series) -> list[str]:
    """Each turn's transcript, '' where there is none."""
    from concurrent.futures import ThreadPoolExecutor

    contents = {folder: set(os.listdir(folder)) for folder in _folders(root, _TRANSCRIPTS)}
    folder = next((folder for folder, names in contents.items() if any(name.endswith(".txt") for name in names)), None)
    if folder is None:
        return [""] * len(segments)
    there = contents[folder]

    def read(names: list[str]) -> list[str]:
        return [" ".join(read_text(folder / name).split()) if name in there else "" for name in names]

    names = [f"{segment}.txt" for segment in segments]
    size = max(1, len(names) // (8 * _THREADS))
    with ThreadPoolExecutor(_THREADS) as pool:  # reading many small files waits for the disk
        parts = pool.map(read, [names[at : at + size] for at in range(0, len(names), size)])
        return [text for part in parts for text in part]


def _release(root: Path, turns: int) -> str:
    """The release by its readme.txt, else by how many labelled turns it has; '' if neither tells."""
    for readme in _named(root, ("readme.txt",)):
        if named := re.search(r"release\s+(\d+\.\d+)", read_text(readme), re.IGNORECASE):
            return named[1]
    sizes = {release: counts["all"] for release, counts in _TURNS.items() if counts}
    nearest = min(sizes, key=lambda release: abs(sizes[release] - turns))
    return nearest if abs(sizes[nearest] - turns) <= _SIZE_TOLERANCE * sizes[nearest] else ""
