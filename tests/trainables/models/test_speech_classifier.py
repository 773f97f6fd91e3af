"""The classifier over pooled speech: two layers, and the two networks that they end."""

import pytest
import torch

from tests.tiny_speech_encoders import write_tiny_encoder
from trainables.models.emotion_encoder import EmotionEncoder
from trainables.models.self_attention_pooling import SelfAttentionPooling
from trainables.models.speech_classifier import PooledHead, SpeechClassifier, classification_layers
from trainables.models.speech_encoder import SpeechEncoder
from trainables.speech_inputs import SpeechChunk


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pooling(size):
    made = SelfAttentionPooling(size)
    made.weight.data = drawn(size, seed=1)
    return made


def by_hand(layers, pooled):
    """Two fully connected layers with a ReLU in the middle."""
    first, _, second = layers
    return torch.clamp(pooled @ first.weight.T + first.bias, min=0) @ second.weight.T + second.bias


def test_the_classifier_is_two_fully_connected_layers_of_256_and_the_classes_with_a_relu_in_the_middle():
    layers = classification_layers(768, 6)
    assert [tuple(parameter.shape) for parameter in layers.parameters()] == [(256, 768), (256,), (6, 256), (6,)]
    pooled = drawn(5, 768)
    torch.testing.assert_close(layers(pooled), by_hand(layers, pooled))


def test_the_pooled_head_gives_a_padded_utterance_what_it_gives_it_alone():
    head, hidden, lengths = PooledHead(pooling(8), 8, 3), drawn(4, 7, 8), torch.tensor([7, 1, 4, 5])
    together = head(hidden, lengths)
    for row, length in enumerate(lengths.tolist()):
        steps = hidden[row, :length]
        weights = (steps @ head.pooling.weight).softmax(dim=0)
        torch.testing.assert_close(together[row], by_hand(head.layers, weights @ steps))


@pytest.mark.parametrize("architecture", ["hubert", "wavlm"])
def test_the_whole_network_gives_the_logits_of_a_batch_in_its_order_and_trains_the_transformer_alone(tmp_path, architecture):
    encoder = SpeechEncoder.load(write_tiny_encoder(tmp_path / "tiny", architecture))
    model = SpeechClassifier(EmotionEncoder(encoder), 3).eval()
    model.encoder.pooling.weight.data = drawn(16, seed=1)
    sounds = [drawn(length, encoder.convolution_size, seed=length) for length in (9, 4, 10)]
    one = SpeechChunk(
        torch.tensor([0, 2]), torch.stack([torch.cat([sounds[0], torch.zeros(1, 8)]), sounds[2]]), torch.tensor([9, 10])
    )
    other = SpeechChunk(torch.tensor([1]), sounds[1][None], torch.tensor([4]))
    logits = model([one, other])
    for row, sound in enumerate(sounds):
        hidden = encoder(sound[None], torch.tensor([len(sound)]))[0]
        weights = (hidden @ model.encoder.pooling.weight).softmax(dim=0)
        torch.testing.assert_close(logits[row], by_hand(model.layers, weights @ hidden), rtol=1e-4, atol=1e-5)
    logits.sum().backward()
    trained = {id(value) for value in model.parameters() if value.grad is not None}
    wanted = [*encoder.transformer_parameters(), model.encoder.pooling.weight, *model.layers.parameters()]
    assert trained == {id(value) for value in wanted}
