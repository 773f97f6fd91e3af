"""Contract of trainables/speech_inputs.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.setting import Setting
from orchestrator.provenance import code_version
from tests.tiny_corpora import write_tiny_corpora
from tests.tiny_speech_encoders import write_tiny_encoder
from tests.trainables.fake_context import FakeContext
from trainables.convolutional_features import ConvolutionalFeatures
from trainables.corpora.audio import read_audio, read_header
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.registry import open_corpora
from trainables.errors import UserError
from trainables.features.buckets import buckets
from trainables.features.frames import FrameWriter
from trainables.initial_encoder import InitialEncoder
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.speech_encoder import SpeechEncoder
from trainables.speech_inputs import SpeechInputs, SpeechSource, open_inputs
from trainables.utterances import Utterances

SPEECH = Path(__file__).resolve().parents[3] / "shared" / "speech"
CPU = torch.device("cpu")
SECONDS = {"north": [0.5, 2.0, 0.51, 1.0, 0.1], "south": [0.49, 3.0, 1.02]}


class Context(FakeContext):
    """With corpora."""

    def __init__(self, directory, results, corpora):
        super().__init__(directory, results)
        self._corpora = corpora

    def corpus(self, role):
        return self._corpora[role]


def source(folder, recordings, ends=None, starts=0.0):
    """Recordings of one folder, each one utterance."""
    table = pd.DataFrame({"recording": recordings, "start": starts, "end": np.nan if ends is None else ends})
    return SpeechSource(table, CorpusSource(role="iemocap", name=folder.name, reader="generic", root=str(folder), digest="0"), None)


@pytest.fixture(scope="module", params=["hubert", "wavlm"])
def encoder(request, tmp_path_factory):
    """Like the public ones, HuBERT's hears normalised samples and WavLM's hears them as they are."""
    normalised = request.param == "hubert"
    directory = write_tiny_encoder(tmp_path_factory.mktemp(request.param) / "tiny", request.param, do_normalize=normalised)
    return SpeechEncoder.load(directory).eval()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Two corpora of noise, five and three utterances."""
    rng, found = np.random.default_rng(0), []
    for name, seconds in SECONDS.items():
        folder = tmp_path_factory.mktemp(name)
        for number, length in enumerate(seconds):
            soundfile.write(folder / f"{number}.wav", 0.1 * rng.standard_normal(int(16000 * length)), 16000)
        found.append(source(folder, [f"{number}.wav" for number in range(len(seconds))]))
    return found


def frames_of(encoder, source, number):
    row = source.table.iloc[number]
    return encoder.convolve(torch.from_numpy(read_audio(source.corpus.audio_path(row["recording"]), row["start"], row["end"])))


def convolved(folder, encoder, source):
    """The source with its frames on disk, as ConvolutionalFeatures leaves them."""
    folder.mkdir()
    frames = [frames_of(encoder, source, number) for number in range(len(source.table))]
    with FrameWriter(folder, encoder.convolution_size, "float32") as writer:
        for utterance in frames:
            writer.append(utterance)
    lengths = np.array([len(utterance) for utterance in frames])
    pd.DataFrame({"first_frame": lengths.cumsum() - lengths, "frames": lengths}).to_parquet(folder / "segments.parquet")
    return source._replace(convolved=folder)


def equal(left, right):
    """Whether two lists of chunks are the same bits."""
    pairs = [(a, b) for one, other in zip(left, right, strict=True) for a, b in zip(one, other, strict=True)]
    return all(torch.equal(a, b) for a, b in pairs)


def padded_share(chunk):
    return 1 - int(chunk.lengths.sum()) / chunk.convolved.shape[:2].numel()


def test_numbers_go_through_the_sources_one_after_the_other_and_places_through_the_batch(encoder, sources):
    """Every utterance alone through the convolutions, zero beyond its end."""
    inputs = SpeechInputs(encoder, sources, CPU)
    assert inputs.first.tolist() == [0, 5]
    numbers = torch.tensor([6, 0, 4, 7, 2, 5, 1, 3, 0])
    expected = [frames_of(encoder, sources[number >= 5], number - 5 * (number >= 5)) for number in numbers.tolist()]
    places = []
    for chunk in inputs.chunks(numbers):
        assert len(chunk.places) == len(chunk.lengths) == len(chunk.convolved)
        for place, length, frames in zip(chunk.places.tolist(), chunk.lengths.tolist(), chunk.convolved, strict=True):
            assert torch.equal(frames[:length], expected[place])
            assert not frames[length:].any()
            places.append(place)
    assert sorted(places) == list(range(9))


def test_less_than_a_tenth_of_each_chunk_is_padding_and_utterances_of_about_one_length_share_one(encoder, sources):
    chunks = SpeechInputs(encoder, sources, CPU).chunks(torch.arange(8))
    assert max(map(padded_share, chunks)) < 0.1
    assert [sorted(chunk.places.tolist()) for chunk in chunks] == [[6], [1], [3, 7], [0, 2, 5], [4]]


@pytest.mark.parametrize("cached", [(True, True), (True, False), (False, True)])
def test_frames_that_are_read_and_frames_that_are_made_now_are_the_same_bits(encoder, sources, tmp_path, cached):
    given = [
        convolved(tmp_path / str(n), encoder, own) if disk else own
        for n, (own, disk) in enumerate(zip(sources, cached, strict=True))
    ]
    numbers = torch.tensor([6, 0, 4, 7, 2, 5, 1, 3])
    made = SpeechInputs(encoder, sources, CPU).chunks(numbers)
    assert equal(SpeechInputs(encoder, given, CPU).chunks(numbers), made)


def test_made_under_autocast_they_are_the_same_bits_as_those_on_disk(encoder, sources):
    inputs, numbers = SpeechInputs(encoder, sources, CPU), torch.arange(8)
    with torch.autocast("cpu", torch.bfloat16):
        found = inputs.chunks(numbers)
    assert equal(found, inputs.chunks(numbers))


def test_an_utterance_is_the_span_of_its_recording_and_without_an_end_all_that_is_left_of_it(encoder, sources):
    folder = Path(sources[0].corpus.root)
    spans = source(folder, ["1.wav", "1.wav"], starts=[0.5, 0.25], ends=[1.5, np.nan])
    (late, early) = SpeechInputs(encoder, [spans], CPU).chunks(torch.arange(2))
    samples = torch.from_numpy(read_audio(folder / "1.wav"))
    assert (late.places.tolist(), early.places.tolist()) == ([1], [0])
    assert torch.equal(late.convolved[0], encoder.convolve(samples[4000:]))
    assert torch.equal(early.convolved[0], encoder.convolve(samples[8000:24000]))


def test_of_nothing_there_are_no_chunks(encoder, sources):
    assert SpeechInputs(encoder, sources, CPU).chunks(torch.tensor([], dtype=torch.int64)) == []


@pytest.mark.parametrize("number", [-1, 8])
def test_a_number_that_no_utterance_has_is_refused(encoder, sources, number):
    with pytest.raises(IndexError, match="from 0 to 7"):
        SpeechInputs(encoder, sources, CPU).chunks(torch.tensor([0, number]))


def test_every_recording_of_a_batch_that_cannot_be_read_is_named(encoder, sources, tmp_path):
    (tmp_path / "damaged.wav").write_bytes(b"RIFF")
    given = [*sources, source(tmp_path, ["damaged.wav", "missing.wav"])]
    with pytest.raises(UserError, match=r"(?s)2 faults.*damaged\.wav.*missing\.wav"):
        SpeechInputs(encoder, given, CPU).chunks(torch.tensor([8, 0, 9]))


def test_frames_of_other_utterances_or_of_another_encoder_are_refused(encoder, sources, tmp_path):
    ready = convolved(tmp_path / "north", encoder, sources[0])
    with pytest.raises(UserError, match="found 5 utterances of 8 values a frame, expected 3 of 8"):
        SpeechInputs(encoder, [sources[1]._replace(convolved=ready.convolved)], CPU)
    wide = SpeechEncoder.load(write_tiny_encoder(tmp_path / "wide", "wavlm", convolution_size=16))
    with pytest.raises(UserError, match="found 5 utterances of 8 values a frame, expected 5 of 16"):
        SpeechInputs(wide, [ready], CPU)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """The stages of two tiny corpora, computed: the corpora, the stages and a context that has their results."""
    folder = tmp_path_factory.mktemp("computed")
    corpora = open_corpora(str(write_tiny_corpora(folder / "corpora")), folder, ["mosei", "iemocap"])
    begin = InitialEncoder(
        architecture="wavlm", weights="random", hidden_size=16, layers=1, heads=2, intermediate_size=16, convolution_size=8
    )
    utterances = [Utterances(corpus=role) for role in ("mosei", "iemocap")]
    features = [ConvolutionalFeatures(encoder=begin, utterances=stage) for stage in utterances]
    executor = LocalExecutor(Setting(corpora=corpora, store=str(folder / "store"), code=code_version()), lambda *call: None)
    for stage in features:
        executor.finish_chain(stage)
    store = ArtifactStore(folder / "store")
    results = {stage: store.path(executor.setting.fingerprint(stage)) for stage in (begin, *utterances, *features)}
    context = Context(tmp_path_factory.mktemp("context"), results, corpora)
    return context, begin, utterances, features


def test_the_stages_results_and_the_corpus_itself_give_the_same_bits(computed):
    context, begin, utterances, features = computed
    encoder = SpeechEncoder.load(context.result(begin))
    numbers = torch.randperm(96, generator=torch.Generator().manual_seed(0))[:32]
    read = open_inputs(context, encoder, utterances, features[::-1])
    assert read.first.tolist() == [0, 36]
    made = open_inputs(context, encoder, utterances, [])
    assert equal(read.chunks(numbers), made.chunks(numbers))


def test_convolved_features_of_utterances_that_are_not_asked_for_are_refused(computed):
    context, begin, utterances, features = computed
    encoder = SpeechEncoder.load(context.result(begin))
    with pytest.raises(ValueError, match="mosei"):
        open_inputs(context, encoder, utterances[1:], features)


def test_a_corpus_whose_recordings_are_read_must_be_the_planned_one(computed, tmp_path):
    context, begin, utterances, features = computed
    encoder, corpora = SpeechEncoder.load(context.result(begin)), write_tiny_corpora(tmp_path / "corpora")
    other = open_corpora(str(corpora), tmp_path, ["mosei", "iemocap"])
    soundfile.write(corpora.parent / "mosei" / "u00.wav", np.full(16000, 0.1), 16000)
    changed = Context(tmp_path / "context", {stage: context.result(stage) for stage in (*utterances, *features)}, other)
    with pytest.raises(UserError, match="has changed since it was opened"):
        open_inputs(changed, encoder, utterances, features[1:])
    open_inputs(changed, encoder, utterances, features[:1])  # mosei's frames are there, and its recordings are not read


def spoken(names):
    """All utterances of corpora of the shared speech."""
    files = {name: sorted((SPEECH / name).rglob("*.flac")) for name in names}
    return [source(SPEECH / name, [str(file.relative_to(SPEECH / name)) for file in found]) for name, found in files.items()]


def batches(sources, count):
    """Numbers of 32 random utterances, so many times."""
    generator, total = torch.Generator().manual_seed(0), sum(len(own.table) for own in sources)
    return [torch.randperm(total, generator=generator)[:32] for _ in range(count)]


CORPORA = pytest.mark.parametrize("names", [("emodb",), ("urdu",), ("LibriSpeech",), ("emodb", "urdu")], ids="+".join)


@pytest.mark.skipif(not SPEECH.is_dir(), reason="no shared/speech beside the checkout")
@CORPORA
def test_batches_of_32_of_the_shared_speech_have_less_than_a_tenth_of_padding_and_few_buckets(encoder, names):
    """Counted in frames; the lengths are those of the recordings."""
    given = spoken(names)
    headers = [read_header(own.corpus.audio_path(recording)) for own in given for recording in own.table["recording"]]
    lengths = torch.tensor([encoder.frames(header.frames * 16000 // header.rate) for header in headers])
    for numbers in batches(given, 100):
        divided = [lengths[numbers][places] for places in buckets(lengths[numbers])]
        assert max(1 - int(own.sum()) / (int(own.max()) * len(own)) for own in divided) < 0.1
        assert len(divided) <= (10 if "LibriSpeech" in names else 3)


@pytest.mark.skipif(not SPEECH.is_dir(), reason="no shared/speech beside the checkout")
@CORPORA
def test_a_batch_of_the_shared_speech_gives_what_its_utterances_give_one_by_one(encoder, names):
    """From the audio through the pooling; and what the Transformer is given has less than a tenth of padding."""
    given, model = spoken(names), EmotionEncoder(encoder)
    torch.nn.init.normal_(model.pooling.weight, generator=torch.Generator().manual_seed(0))
    inputs, numbers = SpeechInputs(encoder, given, CPU), batches(given, 1)[0]
    chunks = inputs.chunks(numbers)
    assert max(map(padded_share, chunks)) < 0.1
    with torch.no_grad():
        alone = torch.cat([model(inputs.chunks(number)) for number in numbers.split(1)])
        torch.testing.assert_close(model(chunks), alone, rtol=1e-5, atol=1e-5)
