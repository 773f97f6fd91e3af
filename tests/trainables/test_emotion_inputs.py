"""What the emotion model is given: windows, contexts, padded batches."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.trainables.emotion_corpora import FRAMES, ONE_DIALOGUE_OUT, ONE_SPEAKER_OUT, SENTENCES, dialogues
from trainables.emotion_inputs import EmotionInputs, context_rows, heard_turns
from trainables.protocols import divide
from trainables.tasks import TASKS
from trainables.units import read_units


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return dialogues(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def inputs(corpus):
    return EmotionInputs(corpus[FRAMES], corpus[SENTENCES], 20)


def turns(sessions, recordings, starts, **more):
    return pd.DataFrame({"session": sessions, "recording": recordings, "start": starts, **more})


@pytest.mark.parametrize("longest", [1, 7, 20, 1000])
def test_windows_of_a_turn_cover_it_once_in_order_are_as_few_as_can_be_and_equal_to_a_frame(corpus, longest):
    inputs = EmotionInputs(corpus[FRAMES], None, longest)
    frames = torch.from_numpy(np.load(corpus[FRAMES] / "frames.npy"))
    for row, (first, length) in enumerate(inputs.turns[["first_frame", "frames"]].to_numpy()):
        windows = inputs.windows_of(torch.tensor([row]))
        lengths = inputs.frames[windows].tolist()
        assert len(lengths) == -(-length // longest)
        assert max(lengths) <= min(longest, min(lengths) + 1)
        batch = inputs.batch(windows)
        assert batch.lengths.tolist() == lengths
        pieces = [piece[:n] for piece, n in zip(batch.frames, lengths, strict=True)]
        assert torch.equal(torch.cat(pieces), frames[first : first + length].float())
        assert all((piece[n:] == 0).all() for piece, n in zip(batch.frames, lengths, strict=True))


def test_the_context_is_three_turns_before_and_after_in_the_session_whoever_speaks_and_whatever_the_class(inputs, corpus):
    table, vectors = inputs.turns, np.load(corpus[SENTENCES] / "embeddings.npy")
    for row in range(len(table)):
        window = inputs.windows_of(torch.tensor([row]))[:1]
        batch = inputs.batch(window)
        for place, offset in enumerate(range(-3, 4)):
            near = row + offset
            there = 0 <= near < len(table) and table["session"][near] == table["session"][row]
            assert bool(batch.present[0, place]) is there
            assert batch.sentences[0, place].numpy() == pytest.approx(vectors[near] if there else np.zeros(5))


def test_turns_follow_each_other_by_start_and_files_of_single_turns_by_the_numbers_in_their_names():
    """CMU-MOSEI's clips are numbered; the order of the table decides nothing."""
    by_start = context_rows(turns(["a"] * 3, ["a.wav"] * 3, [20.0, 0.0, 10.0]))
    assert by_start[2].tolist() == [-1, -1, 1, 2, 0, -1, -1]
    by_number = context_rows(turns(["v"] * 3, ["v/10.wav", "v/9.wav", "v/11.wav"], [0.0] * 3))
    assert by_number[0].tolist() == [-1, -1, 1, 0, 2, -1, -1]


def test_a_start_within_the_conversation_orders_turns_that_have_a_file_each():
    """IEMOCAP's sentences/wav: names count each actor's turns by themselves."""
    table = turns(["d"] * 3, ["d_F000.wav", "d_F001.wav", "d_M000.wav"], [0.0] * 3, conversation_start=[0.0, 9.0, 4.0])
    assert context_rows(table)[2].tolist() == [-1, -1, 0, 2, 1, -1, -1]


def test_statistics_are_numpys_over_the_chosen_turns_alone(inputs, corpus):
    rows = np.array([5, 0, 17])
    frames, vectors = np.load(corpus[FRAMES] / "frames.npy").astype(float), np.load(corpus[SENTENCES] / "embeddings.npy")
    spans = inputs.turns.loc[rows, ["first_frame", "frames"]].to_numpy()
    chosen = {"frames": np.concatenate([frames[a : a + n] for a, n in spans]), "sentences": vectors[rows]}
    for name, (mean, scale) in inputs.statistics(rows).items():
        assert mean.numpy() == pytest.approx(chosen[name].mean(axis=0), rel=1e-4)
        assert scale.numpy() == pytest.approx(chosen[name].std(axis=0), rel=1e-4)


def test_what_is_constant_in_the_chosen_turns_has_deviation_1_and_does_not_blow_up_what_is_not_elsewhere(tmp_path):
    corpus, rows = dialogues(tmp_path), np.array([5, 0, 17])
    spans = pd.read_parquet(corpus[FRAMES] / "segments.parquet").loc[rows, ["first_frame", "frames"]].to_numpy()
    frames, vectors = np.load(corpus[FRAMES] / "frames.npy"), np.load(corpus[SENTENCES] / "embeddings.npy")
    vectors[rows, 2] = 0.1234
    for first, length in spans:
        frames[first : first + length, 3] = -15.945
    np.save(corpus[FRAMES] / "frames.npy", frames)
    np.save(corpus[SENTENCES] / "embeddings.npy", vectors)
    found = EmotionInputs(corpus[FRAMES], corpus[SENTENCES], 20).statistics(rows)
    assert (found["frames"].scale == 1).tolist() == [number == 3 for number in range(8)]
    assert (found["sentences"].scale == 1).tolist() == [number == 2 for number in range(5)]


def test_a_training_turn_hears_no_speaker_of_a_later_set_and_a_tested_one_hears_all(corpus, inputs):
    units = read_units(corpus[FRAMES], TASKS["emotion4"])
    table = inputs.turns
    for fold in (0, 3):
        sets = divide(units, ONE_SPEAKER_OUT, 0, fold=fold, inner=0)
        speakers = {name: set(part.table["speaker"]) for name, part in sets.items()}
        known = {"train": speakers["train"], "dev": speakers["train"] | speakers["dev"], "test": set(table["speaker"])}
        for name in sets:
            heard = heard_turns(table, units, sets, name).numpy()
            assert (heard == table["speaker"].isin(known[name]).to_numpy()).all(), name
    with_class = divide(units, ONE_DIALOGUE_OUT, 0)["train"]
    assert heard_turns(table, units, {"train": with_class}, "train").sum() > len(with_class.truth), "turns without a class, too"


def test_a_unit_of_a_later_set_is_not_heard_even_if_its_speaker_trains(corpus, inputs):
    units = read_units(corpus[FRAMES], TASKS["emotion4"])
    half = np.arange(len(units.truth)) % 2 == 0
    sets = {"train": units.where(half), "test": units.where(~half)}
    heard = heard_turns(inputs.turns, units, sets, "train").numpy()
    assert not heard[np.concatenate(sets["test"].segments)].any()
    assert heard[np.concatenate(sets["train"].segments)].all()


def test_a_turn_always_hears_itself(inputs):
    batch = inputs.batch(torch.arange(8), heard=torch.zeros(len(inputs.turns), dtype=torch.bool))
    assert batch.present.tolist() == [[False] * 3 + [True] + [False] * 3] * 8
