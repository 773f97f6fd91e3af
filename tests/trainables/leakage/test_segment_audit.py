"""Segments before the audit: nobody knows yet which piece of a turn is in which set, and what is stated or found all the same."""

from __future__ import annotations

from typing import ClassVar, Literal

import pandas as pd
import pytest

from orchestrator.audit import audit
from tests.tiny_corpora import write_tiny_corpora
from tests.trainables.leakage.manifests import interviews, inventory, kinds, twin_manifest
from trainables.chance import ChanceClassifier
from trainables.corpora.registry import open_corpora
from trainables.divided import DividedStage
from trainables.errors import UserError
from trainables.leakage.chain import ChainAudit, scored_stages
from trainables.leakage.corpus import AuditedCorpus
from trainables.leakage.exposure import Exposure
from trainables.leakage.findings import Leak
from trainables.leakage.overlaps import find_overlaps
from trainables.mfcc_segments import MfccSegments
from trainables.protocols import Protocol, restricted
from trainables.protocols.catalogue import IEMOCAP_MIXED_5, SEGMENTS_70_30, SPEAKERS_5_FOLD, SPEAKERS_70_30
from trainables.split_comparison import SplitComparison
from trainables.stage import Context, Stage
from trainables.tasks import TaskName

SEGMENTS = MfccSegments(corpus="mdd")


class Trained(DividedStage):
    """Learns from training segments with labels, after another stage or from nothing."""

    label: ClassVar[str] = "planted"
    features: Stage = SEGMENTS
    task: TaskName = "depression"
    before: DividedStage | None = None
    fitted: Literal["training", "all"] = "training"

    def run(self, context: Context) -> None:
        """Never run."""

    def exposure(self) -> Exposure:
        return Exposure(features=self.features, fitted=self.fitted, task=self.task)


def trained(protocol: Protocol, /, **upstream: object) -> Trained:
    """A stage after another of the same division, but for what is given of that one."""
    return Trained(before=Trained(**{"protocol": protocol, **upstream}), protocol=protocol)


def corpus(table: pd.DataFrame | None = None) -> AuditedCorpus:
    table = interviews(16) if table is None else table
    subject = table["talker"] == "subject"
    table["task"] = table.groupby("session").cumcount().mod(4).map(lambda turn: "interview" if turn == 1 else "reading")
    return AuditedCorpus("mdd", table.assign(stimulus=table["task"].where(subject, "")), inventory(table))


def heard(target: DividedStage) -> list[Leak]:
    return ChainAudit({"mdd": corpus()}).find(target)


def shared(table: pd.DataFrame, protocol: Protocol) -> list[Leak]:
    audited = corpus(table)
    bits = ChainAudit({"mdd": audited}).bits(Trained(protocol=protocol))
    return find_overlaps(audited, bits, protocol, "segment")


@pytest.mark.parametrize("protocol", [SEGMENTS_70_30, IEMOCAP_MIXED_5], ids=lambda protocol: protocol.name)
def test_a_division_of_segments_has_speakers_sessions_and_recordings_stated_and_no_leak(protocol: Protocol) -> None:
    found = shared(interviews(16), protocol)
    assert kinds(found) == set()
    assert {leak.kind: leak.count for leak in found if leak.kind != "scripted text"} == {
        "speaker": 16,
        "session": 16,
        "recording": 16,
    }
    assert all("as the protocol says" in leak.message for leak in found if leak.kind != "scripted text")


def test_a_recording_of_a_single_turn_is_in_both_sets_too_because_its_pieces_are() -> None:
    table = interviews(16)
    one = table[(table["talker"] == "interviewer") | (table.groupby("session").cumcount() == 1)].reset_index(drop=True)
    counts = {leak.kind: leak.count for leak in shared(one, SEGMENTS_70_30)}
    assert (counts["speaker"], counts["recording"]) == (16, 16)


def test_a_division_of_segments_by_speaker_shares_nothing() -> None:
    assert shared(interviews(16), SPEAKERS_70_30) == shared(interviews(16), SPEAKERS_5_FOLD) == []


def test_copies_are_leaks_under_a_division_of_segments_too() -> None:
    table = interviews(16)
    table.loc[len(table)] = table[table["talker"] == "subject"].iloc[0].to_dict() | {"segment": "copy"}
    assert kinds(shared(table, SEGMENTS_70_30)) == {"duplicate segments"}


@pytest.mark.parametrize("protocol", [SPEAKERS_70_30, SEGMENTS_70_30, SPEAKERS_5_FOLD], ids=lambda protocol: protocol.name)
def test_earlier_steps_of_the_same_division_have_heard_nobody_who_is_scored_and_of_another_seed_they_have(
    protocol: Protocol,
) -> None:
    for each in (protocol, restricted(protocol, task="interview")):
        assert heard(trained(each)) == []
        assert kinds(heard(Trained(before=trained(each), protocol=each))) == set(), "nor has what comes before them"
    for other in ({"fitted": "all"}, {"seed": 1}):
        assert kinds(heard(trained(protocol, **other))) == {"supervised on test speakers"}, other


def test_segments_that_are_cut_or_divided_otherwise_are_another_division() -> None:
    for other in ({"features": MfccSegments(corpus="mdd", segment_seconds=2.0)}, {"protocol": SPEAKERS_70_30}):
        assert kinds(heard(trained(SEGMENTS_70_30, **other))) == {"supervised on test speakers"}, other


def test_rows_that_a_study_leaves_out_are_in_no_set() -> None:
    audited = corpus()
    bits = ChainAudit({"mdd": audited}).bits(Trained(protocol=restricted(SEGMENTS_70_30, task="interview")))
    left_out = audited.subject & (audited.table["task"] != "interview").to_numpy()
    assert set(bits[left_out]) == {0}
    assert set(bits[audited.subject & ~left_out]) == {5}, "training and test"


def test_what_cannot_be_divided_is_told_before_anything_is_cut() -> None:
    alone = corpus(interviews(16).assign(depressed=0.0))
    for protocol, told in (
        (SEGMENTS_70_30, "no turn is of class depressed"),
        (restricted(SEGMENTS_70_30, task="song"), "task song"),
    ):
        with pytest.raises(UserError, match=told):
            ChainAudit({"mdd": alone}).bits(Trained(protocol=protocol))


@pytest.mark.parametrize("protocol", [SPEAKERS_70_30, SEGMENTS_70_30], ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("task", ["depression", "severity"])
def test_no_cell_of_the_twin_has_a_leak_under_either_protocol(task: TaskName, protocol: Protocol) -> None:
    table = twin_manifest("sre")
    audited = AuditedCorpus("mdd", table, inventory(table))
    chains = ChainAudit({"mdd": audited})
    for column in ("task", "stimulus", "gender"):
        for value in sorted(set(table[column])):
            stage = Trained(protocol=restricted(protocol, **{column: value}), task=task)
            assert kinds(find_overlaps(audited, chains.bits(stage), stage.protocol, "segment")) == set(), value


def compared(task: str, seed: int) -> SplitComparison:
    clean, mixed = (restricted(protocol, task=task) for protocol in (SPEAKERS_70_30, SEGMENTS_70_30))
    given = {"features": SEGMENTS, "strategy": "most_frequent", "seed": seed}
    return SplitComparison(clean=ChanceClassifier(protocol=clean, **given), mixed=ChanceClassifier(protocol=mixed, **given))


def tiny(folder, tasks: tuple[str, ...]):
    """The tiny sessions with a task of each turn: the first of a session has the first one."""
    listed = write_tiny_corpora(folder)
    table = pd.read_csv(folder / "mdd/metadata.csv")
    subject = table["talker"] == "subject"
    table.loc[subject, "task"] = [tasks[number] for number in table[subject].groupby("session").cumcount()]
    table.to_csv(folder / "mdd/metadata.csv", index=False)
    return open_corpora(str(listed), folder, ("mdd",))


def test_both_sides_of_a_comparison_are_audited_and_all_cells_of_a_protocol_are_told_once(tmp_path) -> None:
    target = compared("interview", 0)
    assert scored_stages(target) == (target.clean, target.mixed)
    corpora = tiny(tmp_path, ("interview", "reading"))
    found = audit([compared(task, seed) for task in ("interview", "reading") for seed in range(3)], corpora, tmp_path)
    assert found.leaks == ()
    assert {sentence.partition(":")[0] for sentence in found.stated} == {"mdd, segments-70-30"}
    assert sum("speakers are in more than one set" in sentence for sentence in found.stated) == 1


def test_an_impossible_division_says_which_cell_it_is_of(tmp_path) -> None:
    corpora = tiny(tmp_path, ("interview", "reading"))
    with pytest.raises(UserError) as caught:
        audit([compared(task, 0) for task in ("interview", "song")], corpora, tmp_path)
    assert [message.partition(": ")[0] for message in caught.value.messages] == [
        "mdd, speakers-70-30 (task song), seed 0",
        "mdd, segments-70-30 (task song), seed 0",
    ]


def test_a_speaker_of_two_diagnoses_is_told_before_anything_is_computed() -> None:
    """A subject's score is made of segments, so that the contradiction would only show when all of them are scored."""
    table = interviews(16)
    subjects = table[table["talker"] == "subject"].drop_duplicates("depressed")
    table["speaker"] = table["speaker"].replace(*subjects["speaker"])
    with pytest.raises(UserError, match=r"segments of one subject have several classes.*mend the labels"):
        ChainAudit({"mdd": corpus(table)}).bits(Trained(protocol=SPEAKERS_70_30))
