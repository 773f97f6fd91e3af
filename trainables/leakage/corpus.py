"""A corpus as the audit sees it: its manifest, with every name as a number, computed once for all divisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from trainables.leakage.texts import normalised_texts

if TYPE_CHECKING:
    import pyarrow as pa

    from trainables.corpora.inventory import AudioFile
    from trainables.tasks import UnitsTaskName
    from trainables.units import Units


class AuditedCorpus:
    """The manifest of a corpus in one role.

    Args:
        role: The role.
        table: The manifest.
        files: What is known of its recordings: their content's hash and their length; empty where nothing is known.
        place: What corpora of the same speakers have in common: the folder. Speakers of one name in two places are two people.
    """

    def __init__(self, role: str, table: pd.DataFrame, files: Mapping[str, AudioFile] | None = None, place: str = "") -> None:
        self.role, self.table, self.files, self.place = role, table.reset_index(drop=True), dict(files or {}), place or role
        self._units: dict[tuple, tuple[Units, np.ndarray]] = {}

    def units(self, unit: str, task: UnitsTaskName, columns: tuple[str, ...] = ()) -> tuple[Units, np.ndarray]:
        """The units of a task, made once for all divisions, and the unit of each row.

        Args:
            unit: 'session', 'utterance' or 'segment'.
            task: What is classified.
            columns: Further columns of the manifest that divisions look at.

        Returns:
            :func:`trainables.leakage.sets.manifest_units`, numbered in the column ``number``; and the number of the unit that a row
            belongs to, int ``[rows]``, -1 for none.

        Raises:
            UserError: The corpus has no such units.
        """
        from trainables.leakage.sets import manifest_units
        from trainables.tasks import TASKS

        key = (unit, task, columns)
        if key not in self._units:
            units = manifest_units(self.table, unit, TASKS[task], columns)
            units = replace(units, table=units.table.assign(number=np.arange(len(units.truth))))
            names = self.table["session" if unit == "session" else "segment"]
            codes = pd.factorize(pd.concat([units.table["unit"], names], ignore_index=True))[0][len(units.truth) :]
            of_row = np.where(self.subject & (codes < len(units.truth)), codes, -1)
            self._units[key] = units, of_row
        return self._units[key]

    @cached_property
    def subject(self) -> np.ndarray:
        """Whether a row is the subject's, bool ``[rows]``."""
        return (self.table["talker"] == "subject").to_numpy(dtype=bool)

    @cached_property
    def speaker(self) -> tuple[np.ndarray, pd.Index]:
        """Number of each row's speaker ``[rows]``, and the names."""
        return pd.factorize(self.table["speaker"])

    @cached_property
    def segment(self) -> tuple[np.ndarray, pd.Index]:
        """The same of segments."""
        return pd.factorize(self.table["segment"])

    @cached_property
    def session(self) -> tuple[np.ndarray, pd.Index]:
        """The same of sessions."""
        return pd.factorize(self.table["session"])

    @cached_property
    def recording(self) -> tuple[np.ndarray, pd.Index]:
        """The same of recordings."""
        return pd.factorize(self.table["recording"])

    @cached_property
    def content(self) -> np.ndarray:
        """Number of the bytes of each *recording* (in the order of ``recording[1]``); -1 where they are not known.

        Decision: the same sound in another container or at another rate is not looked for. It would take decoding the whole corpus;
        where lengths alone are compared, corpora of short utterances have thousands of chance pairs.
        """
        return self._contents[0]

    @cached_property
    def _contents(self) -> tuple[np.ndarray, pd.Index]:
        known = pd.Series({name: file.content for name, file in self.files.items() if file.content}, dtype="object")
        return pd.factorize(pd.Series(self.recording[1]).map(known))

    def content_in(self, other: AuditedCorpus) -> np.ndarray:
        """Number of the bytes of each recording as ``other.content`` has them; -1 where the other has no such recording."""
        code, names = self._contents
        found = np.append(other._contents[1].get_indexer(names), -1)  # the last one is for those of unknown content
        return found[code]

    @cached_property
    def text(self) -> tuple[np.ndarray, pa.Array]:
        """Number of each row's normalised transcript, and the transcripts; -1 for a row without."""
        return normalised_texts(self.table["text"])

    @cached_property
    def declared(self) -> np.ndarray:
        """Whether the manifest itself says that a row is given material (scripted, or with a prompt), bool ``[rows]``."""
        found = np.zeros(len(self.table), dtype=bool)
        if "style" in self.table:
            found |= (self.table["style"] == "scripted").to_numpy(dtype=bool)
        if "prompt" in self.table:
            found |= (self.table["prompt"] != "").to_numpy(dtype=bool)
        return found

    @cached_property
    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """Start and end of every row, s ``[rows]``, on one axis on which all recordings lie one after the other."""
        code, names = self.recording
        start = self.table["start"].to_numpy(dtype=float)
        end = self.table["end"].to_numpy(dtype=float)
        lengths = pd.Series({name: file.seconds for name, file in self.files.items() if file.seconds}, dtype=float)
        whole = pd.Series(names).map(lengths).to_numpy(dtype=float)[code]
        end = np.where(np.isnan(end), whole, end)
        longest = float(np.nanmax(np.concatenate([end, start, [0.0]]))) + 1.0
        end = np.where(np.isnan(end), longest, end)  # to the end of a recording of unknown length
        offset = code * (longest + 1.0)
        return start + offset, end + offset

    @cached_property
    def conversations(self) -> bool:
        """Whether talks of several subjects are usual here: at least a fifth of the sessions has two or more."""
        pairs = pd.DataFrame({"session": self.session[0], "speaker": self.speaker[0]})[self.subject].drop_duplicates()
        counts = pairs["session"].value_counts()
        return bool(len(counts)) and float((counts > 1).mean()) >= 0.2

    def names(self, rows: np.ndarray) -> tuple[str, ...]:
        """The segments of some rows, given as a boolean array."""
        from trainables.leakage.findings import SHOWN

        return tuple(self.table["segment"].to_numpy()[np.flatnonzero(rows)[:SHOWN]].tolist())
