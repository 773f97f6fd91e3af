"""A CPC network and the recogniser trained together: what each loss touches, with what they begin, whom they hear."""

import json

import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from tests.trainables.cpc_networks import CONTEXTS, OTHERS, PRETRAINED, SIZES, pretrained
from tests.trainables.emotion_corpora import FRAMES, ONE_DIALOGUE_OUT, ONE_SPEAKER_OUT, dialogues
from tests.trainables.fake_context import FakeContext
from trainables.attribute_regression import AttributeRegression
from trainables.cpc_pretraining import CpcPretraining
from trainables.emotion_inputs import EmotionInputs
from trainables.features.frames import FrameTable
from trainables.joint_regression import JointRegression, random_chunks
from trainables.leakage.exposure import Exposure
from trainables.losses.concordance import concordance_loss
from trainables.losses.info_nce import draw_negatives
from trainables.models.attribute_recogniser import AttributeRecogniser, ContextRecogniser
from trainables.models.cpc import CpcNetwork, FrameSettings
from trainables.numerics import seeded
from trainables.protocols.catalogue import OWN_SPLITS
from trainables.stage import StopRequested
from trainables.tasks import TASKS
from trainables.training import EpochOrder
from trainables.training_set import TrainingSet
from trainables.units import read_units
from trainables.utterances import Utterances

SMALL = {**SIZES, "heads": 2, "attention_size": 8, "epochs": 1, "batch_size": 16, "precision": "float32"}
CPC = {"chunk_frames": 10, "negatives": 8}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    found = dialogues(tmp_path_factory.mktemp("corpus"))
    return found | pretrained(tmp_path_factory.mktemp("pretrained"), found[FRAMES])


def joint(**settings):
    return JointRegression(**{"frames": FRAMES, "protocol": ONE_DIALOGUE_OUT, **SMALL, **CPC, **settings})


def run(which, corpus, directory, **context):
    context = FakeContext(directory, corpus, **context)
    which.run(context)
    return context


def training_units(which, corpus):
    return which.sets(read_units(corpus[FRAMES], TASKS["attributes"]))["train"]


def beginning(which, corpus, directory):
    """The network before the first step."""
    inputs = EmotionInputs(corpus[which.frames], None, which.window_frames)
    return which.model(FakeContext(directory, corpus), inputs, training_units(which, corpus)).eval()


@pytest.fixture
def trained(monkeypatch):
    """The networks of the stages that are run, in their order."""
    found, model = [], JointRegression.model

    def remembering(self, *arguments):
        found.append(model(self, *arguments))
        return found[-1]

    monkeypatch.setattr(JointRegression, "model", remembering)
    return found


@pytest.mark.parametrize("weight", [0.0, 0.6])
def test_both_losses_are_those_of_the_batch_of_utterances(tmp_path, corpus, trained, weight):
    """Against a loop that takes utterance by utterance, and cuts one chunk of each."""
    which = joint(cpc_weight=weight, seed=2)
    run(which, corpus, tmp_path / "result")
    training, table = training_units(which, corpus), FrameTable(corpus[FRAMES])
    rows = sorted(int(segments[0]) for segments in training.segments)
    turns = [torch.cat(list(table.blocks(row))) for row in rows]
    values = pd.read_parquet(corpus[FRAMES] / "segments.parquet").loc[rows, ["activation", "valence", "dominance"]].to_numpy()
    truth = torch.tensor(values, dtype=torch.float32)

    torch.manual_seed(seeded(2, "initialisation"))
    recogniser = AttributeRecogniser(6, 8, 2)
    cpc = CpcNetwork(FrameSettings.of(FRAMES), **SIZES)
    every = torch.cat(turns)
    cpc.set_statistics(every.mean(dim=0), every.std(dim=0, correction=0))
    network = ContextRecogniser(cpc, recogniser)
    contexts = torch.cat([network.contexts(turn[None])[0] for turn in turns]).detach()
    recogniser.set_statistics("frames", contexts.mean(dim=0), contexts.std(dim=0, correction=0))
    recogniser.set_statistics("attributes", truth.mean(dim=0), truth.std(dim=0, correction=0))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-4)
    order = EpochOrder(len(turns), 16, 2)
    for step in range(order.steps_per_epoch):
        chosen = order[step].tolist()
        said = torch.cat([network(turns[i][None], torch.tensor([len(turns[i])])) for i in chosen])
        loss = concordance_loss(truth[chosen], said, 1 / 3, 1 / 3)
        if weight:
            draws = torch.rand(16, generator=torch.Generator().manual_seed(seeded(2, "chunks", step)), dtype=torch.float64)
            chunks = []
            for i, draw in zip(chosen, draws.tolist(), strict=True):
                start = int(draw * (max(len(turns[i]) - 10, 0) + 1))
                chunks.append(turns[i][start : start + 10])
            lengths = torch.tensor([len(chunk) for chunk in chunks])
            negatives = draw_negatives(lengths, 8, "batch", torch.Generator().manual_seed(seeded(2, "negatives", step)))
            loss = loss + weight * cpc(torch.nn.utils.rnn.pad_sequence(chunks, batch_first=True), lengths, negatives).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for name, value in network.state_dict().items():
        torch.testing.assert_close(trained[0].state_dict()[name], value, atol=5e-5, rtol=1e-3, msg=name)


def test_without_the_second_loss_its_predictors_have_no_gradient_and_its_settings_no_say(tmp_path, corpus, trained):
    without = joint(cpc_weight=0)
    for number, which in enumerate((without, without.with_upstream({}, negatives=3, chunk_frames=5), joint())):
        run(which, corpus, tmp_path / f"{number}")
    said = [(tmp_path / f"{number}/predictions.parquet").read_bytes() for number in range(3)]
    assert said[0] == said[1] != said[2]
    assert [network.cpc.predictors.weight.grad is None for network in trained] == [True, True, False]
    first = beginning(without, corpus, tmp_path / "beginning")
    assert torch.equal(trained[0].cpc.predictors.weight, first.cpc.predictors.weight)
    for name in ("encoder.0.weight", "recurrence.weight_hh_l0"):
        assert not torch.equal(trained[0].cpc.get_parameter(name), first.cpc.get_parameter(name)), "labels alone train the rest"


def test_it_begins_with_the_pretrained_weights_where_the_recogniser_on_fixed_contexts_does(tmp_path, corpus):
    found = beginning(joint(initial=PRETRAINED), corpus, tmp_path / "joint")
    weights = CpcNetwork.load(corpus[PRETRAINED]).state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in found.cpc.state_dict().items()), "statistics among them"
    shared = {name: value for name, value in SMALL.items() if name in AttributeRegression.model_fields}
    fixed = beginning(AttributeRegression(frames=CONTEXTS, protocol=ONE_DIALOGUE_OUT, **shared), corpus, tmp_path / "fixed")
    own, theirs = FrameTable(corpus[FRAMES]), FrameTable(corpus[CONTEXTS])
    said, expected = (
        model(table.gather(table.first[:9], table.lengths[:9]), table.lengths[:9]) / fixed.attributes_scale
        for model, table in ((found, own), (fixed, theirs))
    )
    torch.testing.assert_close(said, expected, atol=2e-3, rtol=0)  # contexts are stored in float16
    assert said.std(dim=0).min() > 0.03, "or nearly anything would be equal"


def test_without_pretraining_the_recogniser_begins_with_the_same_weights(tmp_path, corpus):
    random, given = (beginning(joint(initial=initial), corpus, tmp_path / "result") for initial in (None, PRETRAINED))
    for name, value in given.recogniser.named_parameters():
        assert torch.equal(random.recogniser.get_parameter(name), value), name
    assert not torch.equal(random.cpc.recurrence.weight_hh_l0, given.cpc.recurrence.weight_hh_l0)


@pytest.mark.parametrize("inner", [None, 0], ids=["the partner trains", "the partner is the development set"])
def test_both_losses_hear_training_utterances_alone(tmp_path, inner):
    """Frames and ratings of the tested speaker are others: curves and weights are the same."""
    which = joint(protocol=ONE_SPEAKER_OUT, inner=inner, epochs=2)  # fold 0 tests v0F, whose partner is v0M
    selected = "nothing" if inner is None else "dev"
    assert which.exposure() == Exposure(FRAMES, "training", "attributes", normalised="training", selected=selected)
    curves = {}
    for changed in ("", "v0F", "v0M"):
        found = dialogues(tmp_path / f"corpus {changed}", changed=changed)
        curves[changed] = run(which, found, tmp_path / f"result {changed}").reports
    assert {"loss", "ccc_loss", "info_nce", "accuracy"} <= set(curves[""][0][1])
    assert curves["v0F"] == curves[""]
    assert (curves["v0M"][-1][1]["info_nce"] != curves[""][-1][1]["info_nce"]) is (inner is None)


def test_it_learns_ratings_of_unseen_speakers_and_to_predict_frames(tmp_path, corpus):
    which = joint(epochs=12, learning_rate=0.01, size=16)
    context = run(which, corpus, tmp_path / "result")
    metrics = json.loads((tmp_path / "result/metrics.json").read_text())
    assert min(metrics["ccc_valence"], metrics["ccc_activation"]) > 0.5
    first, last = context.reports[0][1], context.reports[-1][1]
    assert last["info_nce"] < first["info_nce"]
    assert last["loss"] == pytest.approx(last["ccc_loss"] + last["info_nce"], abs=1e-5)


@pytest.mark.parametrize("which", [joint(epochs=2), joint(protocol=OWN_SPLITS, epochs=3, initial=PRETRAINED)])
def test_a_run_that_is_interrupted_twice_and_resumed_gives_the_same_bytes(tmp_path, corpus, which):
    run(which, corpus, tmp_path / "whole")
    for stop_after in (2, 5):
        with pytest.raises(StopRequested):
            run(which, corpus, tmp_path / "cut", stop_after=stop_after)
    run(which, corpus, tmp_path / "cut")
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert {"metrics.json", "predictions.parquet"} <= set(files)
    for name in files:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_chunk_is_a_stretch_of_its_utterance_anywhere_in_it_and_a_short_utterance_is_its_own():
    lengths = torch.tensor([30, 4, 12])
    frames = torch.zeros(3, 30, 2)
    for row, length in enumerate(lengths.tolist()):
        frames[row, :length] = 100 * (row + 1) + torch.arange(length)[:, None]
    starts = set()
    for number in range(200):
        chunks, taken = random_chunks(frames, lengths, 10, torch.Generator().manual_seed(number))
        assert taken.tolist() == [10, 4, 10]
        for row, count in enumerate(taken.tolist()):
            begin = int(chunks[row, 0, 0])
            assert chunks[row, :count, 1].tolist() == list(range(begin, begin + count)), "a stretch"
            assert 100 * (row + 1) <= begin <= 100 * (row + 1) + int(lengths[row]) - count, "inside its utterance"
            assert not chunks[row, count:].any()
        starts.add(int(chunks[0, 0, 0]))
    assert starts == set(range(100, 121))


@pytest.mark.parametrize("name", ["size", "encoder_layers", "prediction_steps"])
def test_the_initial_weights_must_be_of_the_same_sizes(name):
    with pytest.raises(ValidationError, match=f"{name} is 2, but the initial weights have {name} {SIZES[name]}; make them equal"):
        joint(initial=PRETRAINED, **{name: 2})


def test_the_initial_weights_must_be_of_the_same_frames_and_may_be_of_another_corpus():
    assert joint(initial=PRETRAINED).initial.frames.corpus == "librispeech"
    other = CpcPretraining(frames=OTHERS.model_copy(update={"hop": 800}), **SIZES)
    with pytest.raises(ValidationError, match="hop"):
        joint(initial=other)


def test_initial_weights_from_the_scored_corpus_hear_the_training_set_of_the_fold():
    within = TrainingSet(utterances=Utterances(corpus="iemocap"), task="attributes", protocol=OWN_SPLITS)
    which = joint(initial=CpcPretraining(frames=FRAMES, within=within, **SIZES), fold=2)
    assert (which.initial.within.protocol, which.initial.within.fold) == (ONE_DIALOGUE_OUT, 2)


def test_a_chunk_must_hold_the_steps_that_are_predicted():
    with pytest.raises(ValidationError, match="a chunk of 3 frames has none to predict 3 steps ahead"):
        joint(chunk_frames=3)
