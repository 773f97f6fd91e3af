"""CASIA, free and whole: speakers under both spellings, names in GBK, shared and own texts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.trainables.corpora.readers.open_trees import APPLE_DOUBLE, opened, refused, write_tone
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.names import printable
from trainables.corpora.readers import casia
from trainables.corpora.reading import Report

FREE = ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang")
OTHER = ("Chang.Liu", "Zhe.Wang", "Quanyin.Zhao", "Zuoxiang.Zhao")
EMOTIONS = ("angry", "fear", "happy", "neutral", "sad", "surprise")


def gbk(name: str) -> str:
    """A file's name as Python gives it where its bytes are GBK."""
    return os.fsdecode(name.encode("gbk"))


def write_part(root: Path, speakers: tuple[str, ...], neutral: str = "neutral", numbers: tuple[str, ...] = ("201", "202")) -> Path:
    for speaker in speakers:
        for emotion in EMOTIONS:
            for number in numbers:
                write_tone(root / speaker / (neutral if emotion == "neutral" else emotion) / f"{number}.wav", 0.02)
    (root / speakers[0] / "angry" / "._201.wav").write_bytes(APPLE_DOUBLE)
    return root


def write_whole(root: Path) -> Path:
    write_part(root / gbk("相同文本300"), FREE)
    write_part(root / gbk("不同文本100"), OTHER, neutral="normal", numbers=("001",))
    return root


def test_the_free_part_has_codes_genders_and_shared_texts(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, "casia", write_part(tmp_path / "casia", ("LiuChanhg", *FREE[1:])))
    table = source.manifest()
    assert source.reader == "casia"
    assert len(table) == table["segment"].nunique() == 4 * 6 * 2
    assert sorted(table["speaker"].unique()) == sorted(name.lower() for name in FREE)
    assert table.groupby("speaker")["gender"].first().tolist() == ["female", "male", "female", "male"]
    assert set(table["emotion"]) == {"ang", "fea", "hap", "neu", "sad", "sur"}
    assert set(table["prompt"]) == {"shared-201", "shared-202"}


def test_both_parts_of_the_whole_corpus_have_the_same_four_speakers(tmp_path: Path) -> None:
    table = opened(tmp_path, "casia", write_whole(tmp_path / "casia"))[0].manifest()
    assert len(table) == 4 * 6 * 3
    assert table["speaker"].nunique() == 4
    own = table[table["prompt"].str.startswith("own-")]
    assert set(own["prompt"]) == {f"own-{name.lower()}-001" for name in FREE}
    assert (own["emotion"] == "neu").sum() == 4  # 'normal'


def test_one_folder_called_normal_does_not_make_a_shared_text_a_speakers_own(tmp_path: Path) -> None:
    root = write_part(tmp_path / "casia", FREE)
    (root / "wangzhe" / "neutral").rename(root / "wangzhe" / "normal")
    source, report = opened(tmp_path, "casia", root)
    assert set(source.manifest()["prompt"]) == {"shared-201", "shared-202"}
    assert report.noted == {"parts whose folders are spelt in both ways (all of their texts are taken for shared)": ["."]}


def test_a_part_in_which_speakers_are_spelt_in_both_ways_is_taken_for_shared_and_told(tmp_path: Path) -> None:
    root = write_whole(tmp_path / "casia")
    other = root / gbk("不同文本100")
    (other / "Zhe.Wang").rename(other / "wangzhe")
    source, report = opened(tmp_path, "casia", root)
    assert not source.manifest()["prompt"].str.startswith("own-").any()
    assert list(report.noted.values()) == [[printable(other.name)]]


def test_the_whole_corpus_as_delivered_leaves_no_doubt(tmp_path: Path) -> None:
    assert opened(tmp_path, "casia", write_whole(tmp_path / "casia"))[1].noted == {}


def test_names_that_are_not_unicode_keep_their_digest_between_openings(tmp_path: Path) -> None:
    root = write_whole(tmp_path / "casia")
    first = opened(tmp_path, "casia", root)[0]
    again = opened(tmp_path, "casia", root)[0]
    assert first.digest == again.digest
    assert len(CorpusSource.model_validate_json(first.model_dump_json()).manifest()) == 4 * 6 * 3
    recording = first.manifest()["recording"].iloc[0]
    assert first.audio_path(recording).is_file()
    first.verify()


def test_a_role_without_emotions_gets_the_corpus_own_words(tmp_path: Path) -> None:
    root = write_whole(tmp_path / "casia")
    source = CorpusSource(role="librispeech", name="x", reader="casia", root=str(root), digest="")
    assert set(casia.read_manifest(source, Report("x"))["emotion"]) == set(EMOTIONS)


@pytest.mark.parametrize("given", [".", "casia", "casia/wangzhe"])
def test_a_root_one_level_too_high_or_low_is_the_same_part(tmp_path: Path, given: str) -> None:
    root = write_part(tmp_path / "in" / "casia", FREE)
    assert casia.find_root(tmp_path / "in" / given) == root


def test_the_whole_corpus_is_found_with_both_its_parts(tmp_path: Path) -> None:
    root = write_whole(tmp_path / "in" / "casia")
    assert casia.find_root(root) == casia.find_root(tmp_path / "in") == root


def test_texts_come_from_lists_in_gb18030(tmp_path: Path) -> None:
    root = write_whole(tmp_path / "casia")
    (root / gbk("相同文本300") / "list.txt").write_bytes("文本\r\n201 就是下雨也去。\r\n202、没有\r\n".encode("gb18030"))
    table = opened(tmp_path, "casia", root)[0].manifest()
    assert set(zip(table["prompt"].str[:6], table["text"], strict=True)) == {
        ("shared", "就是下雨也去。"),
        ("shared", "没有"),
        *((f"own-{name.lower()}"[:6], "") for name in FREE),
    }


def test_an_unknown_emotion_or_speaker_is_a_fault_and_what_lies_elsewhere_is_told(tmp_path: Path) -> None:
    root = write_part(tmp_path / "casia", FREE)
    write_tone(root / "demo.wav")
    _, report = opened(tmp_path, "casia", root)
    assert report.skipped == {"recordings that lie in no folder <speaker>/<emotion>": [str(root / "demo.wav")]}
    write_tone(root / "wangzhe" / "bored" / "201.wav")
    write_tone(root / "somebody" / "sad" / "201.wav")
    message = refused(tmp_path, "casia", root)
    assert "unknown emotion 'bored'; expected one of angry, fear, happy" in message
    assert "unknown speaker 'somebody'" in message


def test_facts_tell_the_free_part_from_the_whole(tmp_path: Path) -> None:
    free = opened(tmp_path, "casia", write_part(tmp_path / "free", FREE))[0]
    whole = opened(tmp_path, "casia", write_whole(tmp_path / "whole"))[0]
    assert [(fact.expected, fact.found) for fact in casia.facts(free.manifest(), free, 0.1)] == [
        (4, 4),
        (1200, 48),
        (50, 2),
        (0.64, 0.1),
    ]
    assert [(fact.expected, fact.found) for fact in casia.facts(whole.manifest(), whole, 0.1)] == [(4, 4), (9600, 72), (400, 3)]
