"""Each leak that is planted in a manifest, otherwise clean, is found, and nothing besides."""

import pytest

from tests.trainables.leakage.manifests import findings, interviews, inventory, kinds, said, utterances
from trainables.corpora.inventory import AudioFile
from trainables.errors import UserError
from trainables.protocols.catalogue import CASIA_MIXED_5, DAIC_OFFICIAL, IEMOCAP_5_SESSIONS, OWN_SPLITS, SPEAKERS_70_30

PLANTED = {}
EMODB = [
    "Der Lappen liegt auf dem Eisschrank",
    "Das will sie am Mittwoch abgeben",
    "Heute abend könnte ich es ihm sagen",
    "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück",
    "In sieben Stunden wird es soweit sein",
    "Was sind denn das für Tüten, die da unter dem Tisch stehen",
    "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter",
    "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht",
    "Ich will das eben wegbringen und dann mit Karl was trinken gehen",
    "Die wird auf dem Platz sein, wo wir sie immer hinlegen",
]  # Burkhardt et al. 2005, table 1


def plant(*expected, task="emotion4", protocol=OWN_SPLITS):
    """A planter changes a clean manifest and its recordings; ``expected`` are the kinds of leaks that it is."""

    def remember(planter):
        table = interviews() if task == "depression" else utterances()
        PLANTED[planter.__name__] = (planter, table, task, protocol, set(expected))
        return planter

    return remember


def rows(table, split, count=4):
    """The first rows of a split."""
    return table.index[table["split"] == split][:count]


@plant("speaker")
def a_training_speaker_is_tested(table, files):
    table.loc[table["speaker"] == "v00", "split"] = ["train"] * 4 + ["test"] * 4


@plant("speaker")
def a_development_speaker_is_tested(table, files):
    table.loc[rows(table, "dev"), "speaker"] = "v09"


@plant("session")
def one_video_is_in_training_and_test(table, files):
    table.loc[[*rows(table, "train", 1), *rows(table, "test", 1)], "session"] = "video"


@plant("recording")
def one_file_is_in_training_and_test(table, files):
    table.loc[[*rows(table, "train", 1), *rows(table, "test", 1)], "recording"] = "u0000.wav"
    table.loc[rows(table, "test", 1), ["start", "end"]] = (10.0, 13.0)


@plant("recording", "overlapping segments")
def seconds_of_one_file_are_in_training_and_test(table, files):
    table.loc[[*rows(table, "train", 1), *rows(table, "test", 1)], "recording"] = "u0000.wav"
    table.loc[rows(table, "test", 1), ["start", "end"]] = (2.5, 6.0)


@plant("recording", "overlapping segments")
def a_segment_without_an_end_reaches_into_a_test_segment(table, files):
    table.loc[[*rows(table, "train", 1), *rows(table, "test", 1)], "recording"] = "u0000.wav"
    table.loc[rows(table, "train", 1), "end"] = float("nan")
    table.loc[rows(table, "test", 1), ["start", "end"]] = (50.0, 55.0)


@plant("audio content")
def one_recording_has_two_names(table, files):
    files["u0079.wav"] = files["u0079.wav"].model_copy(update={"content": files["u0000.wav"].content})


@plant("duplicate segments")
def a_test_utterance_is_listed_twice(table, files):
    first, second = rows(table, "test", 2)
    table.loc[second, ["recording", "start", "end"]] = table.loc[first, ["recording", "start", "end"]].tolist()


@plant("scripted text")
def sentences_of_the_test_set_were_trained_on(table, files):
    table.loc[rows(table, "test", 8), "text"] = [text.upper() + "!" for text in table.loc[rows(table, "train", 8), "text"]]


def act(table, sentences):
    """Everybody says the same sentences in turn."""
    table["text"] = [sentences[index // 2 % len(sentences)] for index in range(len(table))]


@plant("scripted text")
def two_short_sentences_are_all_that_is_acted(table, files):
    """RAVDESS, of six words each."""
    act(table, ["Kids are talking by the door", "Dogs are sitting by the door"])


@plant("scripted text")
def ten_sentences_are_all_that_is_acted(table, files):
    """EmoDB, two of them of six words."""
    act(table, EMODB)


@plant("scripted text")
def short_sentences_are_acted_beside_some_free_speech(table, files):
    act(table, ["It's eleven o'clock.", "Don't forget a jacket.", "We'll stop in a couple of minutes."])  # CREMA-D
    for name in table.index[::10]:
        table.loc[name, "text"] = said(name, 99)


@plant("scripted text")
def chinese_sentences_are_acted(table, files):
    """CASIA, of six and more characters."""
    act(table, ["\u5c31\u662f\u4e0b\u96e8\u4e5f\u53bb", "\u4eca\u5929\u662f\u4e94\u6708\u5341\u516b\u53f7"])


@plant(
    "scripted text", protocol=IEMOCAP_5_SESSIONS.model_copy(update={"name": "improvised", "keep": (("style", ("improvised",)),)})
)
def improvised_speech_repeats_itself(table, files):
    table["session"] = "Ses" + (table["speaker"].str[1:].astype(int) // 2).astype(str)
    table["text"] = [said(index % 8) for index in range(len(table))]


@plant("selection on test", protocol=OWN_SPLITS.model_copy(update={"name": "dev-is-test", "dev": ("test",)}))
def the_epoch_is_chosen_on_the_test_set(table, files):
    pass


@plant("unit", protocol=OWN_SPLITS.model_copy(update={"name": "trained-on-all", "train": ("train", "test")}))
def utterances_of_the_test_set_are_trained_on(table, files):
    pass


@plant("interviewer audio", task="depression", protocol=SPEAKERS_70_30)
def a_subjects_segments_are_where_the_interviewer_talks(table, files):
    chosen = table.index[(table["talker"] == "subject") & (table["session"] == "s03")]
    table.loc[chosen, ["start", "end"]] -= 4.0


@plant("interviewer as subject", "speaker", task="depression", protocol=SPEAKERS_70_30)
def the_interviewers_turns_are_marked_as_the_subjects(table, files):
    last = table.groupby("session").tail(1).index[:5]
    table.loc[last, "speaker"] = "ellie"


@plant("speaker", task="depression", protocol=DAIC_OFFICIAL)
def a_subject_of_training_is_tested_in_another_session(table, files):
    table["split"] = [("train", "dev", "test")[int(session[1:]) // 2 % 3] for session in table["session"]]
    table.loc[(table["session"] == "s04") & (table["talker"] == "subject"), "speaker"] = "p00"


@plant("two labels", task="depression", protocol=SPEAKERS_70_30)
def a_session_has_two_diagnoses(table, files):
    table.loc[table.index[(table["session"] == "s05") & (table["talker"] == "subject")][0], "depressed"] = 0.0


@plant("telling material", task="depression", protocol=SPEAKERS_70_30)
def a_text_is_read_by_the_depressed_alone(table, files):
    table["prompt"] = ""
    table.loc[(table["talker"] == "subject") & (table["depressed"] == 1), "prompt"] = "the north wind"


@plant("audio content", protocol=CASIA_MIXED_5)
def a_copy_is_a_leak_even_where_speakers_are_mixed(table, files):
    for name in list(files)[:40]:
        files[name] = files["u0000.wav"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_found_and_nothing_besides(name):
    planter, table, task, protocol, expected = PLANTED[name]
    assert findings(table, task, SPEAKERS_70_30) == [], "clean without it"
    table, files = table.copy(), inventory(table)
    planter(table, files)
    found = findings(table, task, protocol, files)
    assert kinds(found) == expected
    assert all(leak.count > 0 and leak.message for leak in found)


@pytest.mark.parametrize(
    "sentences", [EMODB, ["Kids are talking by the door", "Dogs are sitting by the door"], ["short and sweet"]]
)
def test_of_a_script_every_scored_sentence_counts_however_short_it_is(sentences):
    table = utterances()
    act(table, sentences)
    (leak,) = findings(table, "emotion4", OWN_SPLITS)
    assert leak.count == (table["split"].isin(["dev", "test"])).sum()
    assert "100 % of the scored segments" in str(leak)
    (stated,) = findings(table, "emotion4", SPEAKERS_70_30)
    assert (stated.kind, stated.severity) == ("scripted text", "stated")


def test_short_answers_beside_free_speech_are_no_script():
    table = utterances(each=20)
    for name in table.index[table.index % 5 > 0]:
        table.loc[name, "text"] = ("yes", "no", "mm", "okay")[name % 5 - 1]
    assert findings(table, "emotion4", OWN_SPLITS) == []
    table.loc[table.index % 5 == 0, "text"] = "i don't know"
    assert findings(table, "emotion4", OWN_SPLITS) == [], "the one answer of three words is a fifth of what is said"


def test_one_thing_is_told_in_the_singular():
    table = interviews(sessions=40)
    table.loc[table.index[table["talker"] == "subject"][0], ["start", "end"]] = (10.2, 11.0)
    table.loc[table.index[(table["session"] == "s05") & (table["talker"] == "subject")][0], "depressed"] = 0.0
    told = {leak.kind: leak.message for leak in findings(table, "depression", SPEAKERS_70_30)}
    assert told["interviewer audio"].startswith("in 1 segment of subjects the interviewer talks")
    assert told["two labels"] == "1 session has two diagnoses; a session has one"
    assert told["two diagnoses"].startswith("1 speaker has sessions of both diagnoses")


def test_partners_of_a_podcast_are_told_as_partners_and_not_as_the_protocols_saying():
    table = utterances()
    sets = [table.index[table["split"] == name][:8] for name in ("train", "test")]
    for number, pair in enumerate(zip(*sets, strict=True)):
        table.loc[list(pair), "session"] = f"podcast{number}"
    table["session"] = table["session"].where(table["session"].str.startswith("podcast"), "alone" + table["speaker"])
    (stated,) = findings(table, "emotion4", OWN_SPLITS)
    assert (stated.kind, stated.severity) == ("session", "stated")
    assert "partners of one conversation" in stated.message
    assert "protocol" not in stated.message


def test_many_leaks_are_planted():
    assert len(PLANTED) >= 12


def test_a_protocol_that_says_it_mixes_speakers_and_texts_has_them_stated():
    table = utterances(speakers=4, each=24, splits=False)
    table["prompt"] = [f"text {index % 12}" for index in range(len(table))]
    found = findings(table, "emotion4", CASIA_MIXED_5)
    assert kinds(found) == set()
    assert kinds(found, "stated") == {"speaker", "scripted text"}


def test_partners_of_a_conversation_are_stated_where_the_protocol_divides_by_speaker():
    table = utterances(splits=False)
    table["session"] = "dialogue" + (table["speaker"].str[1:].astype(int) // 2).astype(str)
    assert kinds(findings(table, "emotion4", SPEAKERS_70_30)) == set()
    assert kinds(findings(table, "emotion4", SPEAKERS_70_30), "stated") == {"session"}
    assert kinds(findings(table, "emotion4", IEMOCAP_5_SESSIONS), "stated") == set()


def test_everyday_answers_and_given_material_are_no_leaks():
    table = utterances()
    table.loc[table.index[::2], "text"] = "i don't know what to say"
    assert kinds(findings(table, "emotion4", OWN_SPLITS)) == kinds(findings(table, "emotion4", OWN_SPLITS), "stated") == set()
    table.loc[table.index[::2], ["text", "style"]] = ["kids are talking by the door", "scripted"]
    table.loc[table.index[::2], "text"] = "the quick brown fox jumps over the lazy dog"
    assert kinds(findings(table, "emotion4", OWN_SPLITS)) == set()
    assert kinds(findings(table, "emotion4", OWN_SPLITS), "stated") == {"scripted text"}


def test_talking_over_each_other_for_a_moment_is_stated():
    table = interviews(sessions=40)
    first = table.index[table["talker"] == "subject"][0]
    table.loc[first, ["start", "end"]] = (10.2, 11.0)
    found = findings(table, "depression", SPEAKERS_70_30)
    assert (kinds(found), kinds(found, "stated")) == (set(), {"interviewer audio"})


def test_an_impossible_division_is_told_and_not_audited():
    table = utterances()
    with pytest.raises(UserError, match="5 conversations"):
        findings(table, "emotion4", IEMOCAP_5_SESSIONS)


def test_examples_name_rows_and_never_what_was_said():
    table = utterances()
    table.loc[rows(table, "test", 8), "text"] = table.loc[rows(table, "train", 8), "text"].tolist()
    (leak,) = findings(table, "emotion4", OWN_SPLITS)
    assert set(leak.examples) <= set(table["segment"])
    assert "harbour" not in str(leak)


def test_recordings_of_unknown_content_are_no_copies_of_each_other():
    table = utterances()
    files = {name: AudioFile(size=1, seconds=60.0) for name in table["recording"].unique()}
    assert findings(table, "emotion4", OWN_SPLITS, files) == []
