"""What is missing or damaged in a corpus: a fault each by default; left out by name, everywhere alike, where the user allows it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from trainables.corpora import generic
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.damage import LeftOut, without
from trainables.corpora.inventory import read_inventory, take_inventory
from trainables.corpora.names import openable, printable
from trainables.corpora.reading import Report, describe_skips, every_name_shown, listing
from trainables.corpora.registry import open_corpora
from trainables.errors import UserError

SPEAKERS = 12
SKIP = "skip_damaged = true"


@pytest.fixture
def sentences() -> list[dict[str, str]]:
    """Twelve speakers, a one-second recording each, in two segments; signs alternate."""
    return [
        {"file_name": f"{speaker}.wav", "segment": f"{speaker}-{start}", "start": start, "end": end}
        | {"speaker": f"s{speaker}", "sentiment": "1" if speaker % 2 else "-1"}
        for speaker in range(SPEAKERS)
        for start, end in (("0", "0.5"), ("0.5", "1"))
    ]


@pytest.fixture
def opened(
    sentences: list[dict[str, str]], tone: Callable[..., None], tmp_path: Path
) -> Callable[..., tuple[CorpusSource, Report]]:
    """Writes the twelve recordings, spoils them, and opens the corpus; gives the source and its report."""
    for speaker in range(SPEAKERS):
        tone(tmp_path / "corpus" / f"{speaker}.wav", hertz=200 + speaker)

    def run(settings: str = "", spoil: Callable[[Path], object] = lambda root: None) -> tuple[CorpusSource, Report]:
        spoil(tmp_path / "corpus")
        reports: dict[str, Report] = {}
        (tmp_path / "corpora.toml").write_text(f'[mosei]\nroot = "corpus"\n{settings}\n')
        pd.DataFrame(sentences).to_csv(tmp_path / "corpus" / "manifest.csv", index=False)
        source = open_corpora(str(tmp_path / "corpora.toml"), tmp_path / "home", ["mosei"], reports)["mosei"]
        return source, reports["mosei"]

    return run


def spoil(root: Path) -> None:
    """One recording missing, one that is text, one cut short, one with NaN."""
    (root / "0.wav").unlink()
    (root / "1.wav").write_text("gone")
    (root / "2.wav").write_bytes((root / "2.wav").read_bytes()[:-900])
    soundfile.write(root / "3.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")


def test_every_damage_is_a_fault_and_names_the_setting_as_a_way_out(opened: Callable) -> None:
    with pytest.raises(UserError) as caught:
        opened(spoil=spoil)
    message = str(caught.value)
    assert "1 audio file is missing: '0.wav'" in message
    assert "`skip_damaged = true`" in message
    for name in ("1.wav", "2.wav", "3.wav"):
        assert f"corpus/{name}: " in message


def test_with_skip_damaged_the_rest_is_read_and_what_is_left_out_is_named_with_its_reason(opened: Callable) -> None:
    source, report = opened(SKIP, spoil)
    assert set(source.manifest()["recording"]) == {f"{speaker}.wav" for speaker in range(4, SPEAKERS)}
    text = "\n".join(describe_skips(report))
    assert "1 left out: recordings that are missing (skip_damaged = true), with 2 segments: '0.wav'" in text
    assert "3 left out: recordings that cannot be read (skip_damaged = true), with 6 segments" in text
    for part in ("1.wav: cannot be read as audio (it is text)", "2.wav: cut short", "3.wav: holds samples that are not finite"):
        assert part in text


def test_a_sound_corpus_is_the_same_with_the_setting_and_what_is_left_out_is_part_of_the_digest(opened: Callable) -> None:
    plain, _ = opened()
    allowed, report = opened(SKIP)
    assert (allowed, report.skipped) == (plain, {})
    fewer, _ = opened(SKIP, lambda root: (root / "5.wav").unlink())
    assert fewer.digest != plain.digest


def test_every_worker_drops_the_same_rows_though_it_has_the_recording(opened: Callable, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "corpus", tmp_path / "whole")
    source, _ = opened(SKIP, spoil)
    shutil.copytree(tmp_path / "whole", tmp_path / "corpus", dirs_exist_ok=True)
    elsewhere = CorpusSource.model_validate_json(source.model_dump_json())
    assert elsewhere == source
    assert len(elsewhere.manifest()) == 2 * (SPEAKERS - 4)
    elsewhere.verify()


def test_a_recording_that_is_damaged_after_opening_is_a_fault_though_damage_was_allowed(opened: Callable, tmp_path: Path) -> None:
    source, _ = opened(SKIP, spoil)
    (tmp_path / "corpus" / "9.wav").unlink()
    with pytest.raises(UserError, match=r"1 audio file is missing: '9\.wav'"):
        source.verify()


def test_segments_without_sound_are_left_out_one_by_one(opened: Callable, sentences: list[dict[str, str]]) -> None:
    times = {"0-0": ("0.2", "0.2"), "2-0": ("0.3", "0.1"), "4-0.5": ("0.5", "1.2"), "6-0.5": ("1.5", "2"), "8-0.5": ("0.9999", "")}
    for row in sentences:
        row["start"], row["end"] = times.get(row["segment"], (row["start"], row["end"]))
    with pytest.raises(UserError) as caught:
        opened()
    assert "segments '0-0', '2-0', '8-0.5'; mend or delete them" in str(caught.value)
    assert "segments end after their recording does: '4-0.5', '6-0.5'" in str(caught.value)
    source, report = opened(SKIP)
    assert set(source.left_out.segments) == set(times)
    assert len(source.manifest()) == 2 * SPEAKERS - len(times)
    assert sum(map(len, report.skipped.values())) == len(times)
    source.verify()


def test_where_nothing_is_left_the_corpus_is_refused(opened: Callable) -> None:
    with pytest.raises(UserError, match="nothing is left"):
        opened(SKIP, lambda root: [path.unlink() for path in root.glob("*.wav")])


def test_the_setting_must_be_true_or_false(opened: Callable) -> None:
    with pytest.raises(UserError, match="skip_damaged must be true or false, found 'yes'"):
        opened('skip_damaged = "yes"')


def test_a_recording_that_was_never_shipped_is_left_out_without_any_setting(
    opened: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generic, "KNOWN_MISSING", frozenset({"4.wav", "5.wav"}))
    source, report = opened(spoil=lambda root: (root / "4.wav").unlink())
    assert source.left_out == LeftOut(("4.wav",))  # 5.wav is there, and stays
    assert describe_skips(report) == ["1 left out: recordings that are listed but were never shipped, with 2 segments: '4.wav'"]


def test_a_recording_whose_name_is_not_utf_8_is_found_under_its_printable_name(tmp_path: Path, tone: Callable[..., None]) -> None:
    path = tmp_path / os.fsdecode(b"\xd0\xb2\xff.wav")
    with path.open("wb") as file:
        soundfile.write(file, np.zeros(1600), 16000, format="WAV")
    name = printable(path.name)
    source = CorpusSource(role="mosei", name="x", reader="generic", root=str(tmp_path), left_out=((name,), ()), digest="")
    assert read_inventory(tmp_path, [name])[name].readable
    assert source.audio_path(name).is_file()
    assert CorpusSource.model_validate_json(source.model_dump_json()) == source


def test_a_recording_found_damaged_by_decoding_is_remembered_until_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 16000), 16000)
    sound = path.read_bytes()
    path.write_bytes(sound[:4000] + bytes(16000) + sound[20000:])
    home = tmp_path / "home"
    assert take_inventory(tmp_path, ["x.flac"], home)["x.flac"].readable  # headers do not show it
    assert not take_inventory(tmp_path, ["x.flac"], home, decode=True)["x.flac"].readable
    assert not take_inventory(tmp_path, ["x.flac"], home)["x.flac"].readable
    path.write_bytes(sound)
    assert take_inventory(tmp_path, ["x.flac"], home)["x.flac"].readable


@pytest.mark.parametrize("name", ["a\x00b.wav", "x" * 300 + ".wav", "x.wav/y.wav"])
def test_a_name_that_no_file_can_have_is_missing_or_a_fault_and_hides_no_other(
    tmp_path: Path, tone: Callable[..., None], name: str
) -> None:
    tone(tmp_path / "x.wav")
    found = read_inventory(tmp_path, ["x.wav", name])
    assert found["x.wav"].readable
    assert not found[name].readable


def test_a_message_names_ten_and_for_who_mends_the_corpus_all() -> None:
    assert listing(range(12)).endswith("'9' and 2 more")
    with every_name_shown():
        assert listing(range(12)).endswith("'10', '11'")
    assert listing(range(12)).endswith("'9' and 2 more")


def test_rows_keep_their_order_when_some_are_left_out() -> None:
    table = pd.DataFrame({"segment": list("abcd"), "recording": ["1", "2", "1", "3"]})
    assert without(table, LeftOut(("1",), ("d",)))["segment"].tolist() == ["b"]
    assert without(table, LeftOut()) is table


def test_one_spelling_is_printed_for_bytes_that_are_no_characters_and_files_are_found_under_it() -> None:
    name = os.fsdecode(b"\xcf\xe0.wav")
    assert printable(name) == r"\xcf\xe0.wav"
    assert openable(printable(name)) == name
    assert printable("\ud800 é") == r"\ud800 é"  # of JSON, and no byte of a name
    assert str(UserError(f"{name}: damaged")) == r"\xcf\xe0.wav: damaged"
