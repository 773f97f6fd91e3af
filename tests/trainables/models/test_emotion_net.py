"""Contract of trainables.models.emotion_net."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F

from trainables.models.emotion_net import EmotionBatch, EmotionNet

SMALL = {"classes": 4, "attributes": 3, "width": 8, "audio_dim": 6, "sentence_dim": 4, "fusion_size": 10}
SIZES = {"audio": (5, None), "text": (None, 9), "both": (5, 9)}
LENGTHS = torch.tensor([20, 3, 11])
PRESENT = torch.tensor([[True] * 7, [False, False, False, True, True, True, True], [False] * 3 + [True] + [False] * 3])


def network(modality, **changes):
    torch.manual_seed(0)
    return EmotionNet(*SIZES[modality], **SMALL | changes).double()


def batch(modality, filler=0.0):
    """Three utterances; what lies beyond their lengths or is absent is ``filler``."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(3, 20, 5, generator=generator, dtype=torch.float64)
    sentences = torch.randn(3, 7, 9, generator=generator, dtype=torch.float64)
    frames[torch.arange(20) >= LENGTHS.unsqueeze(1)] = filler
    sentences[~PRESENT] = filler
    audio = (frames, LENGTHS) if modality != "text" else (None, None)
    return EmotionBatch(*audio, *((sentences, PRESENT) if modality != "audio" else (None, None)))


def alone(whole, row):
    """One utterance of a batch, without padding."""
    length = None if whole.lengths is None else int(whole.lengths[row])
    return EmotionBatch(
        frames=None if length is None else whole.frames[row : row + 1, :length],
        lengths=None if length is None else whole.lengths[row : row + 1],
        sentences=None if whole.sentences is None else whole.sentences[row : row + 1],
        present=None if whole.present is None else whole.present[row : row + 1],
    )


def loss(output):
    """Depends on all outputs; a mean over the batch."""
    squares = output.logits.square().sum(1) + (output.attributes - 1).square().sum(1) + output.embedding.sin().sum(1)
    return squares.mean() + output.penalty


def gradients(net, inputs):
    return torch.autograd.grad(loss(net(inputs)), list(net.parameters()))


@pytest.mark.parametrize(("sizes", "expected"), [((80, None), 128), ((None, 768), 320), ((80, 768), 448)])
def test_the_papers_network_has_128_values_from_audio_and_320_from_text(sizes, expected):
    net = EmotionNet(*sizes, classes=4, attributes=3).eval()
    audio = {"frames": torch.randn(2, 30, 80), "lengths": torch.tensor([30, 9])} if sizes[0] else {}
    text = {"sentences": torch.randn(2, 7, 768), "present": torch.ones(2, 7, dtype=torch.bool)} if sizes[1] else {}
    output = net(EmotionBatch(**audio, **text))
    assert output.embedding.shape == (2, expected) == (2, net.embedding_size)
    assert output.logits.shape == (2, 4)
    assert output.attributes.shape == (2, 3)
    assert output.penalty.shape == ()


def test_it_has_the_parameters_of_its_parts():
    """Weights and biases; the attentions have no bias."""
    audio = 1_824_768 + 128 * 512 + 5 * 128 + (5 * 512 + 1) * 128
    text = (768 + 1) * 64 + 7 * 64 + 128 * 64 + 5 * 128
    for sizes, branches, inputs in [((80, None), audio, 128), ((None, 768), text, 320), ((80, 768), audio + text, 448)]:
        net = EmotionNet(*sizes, classes=4, attributes=3)
        expected = branches + (inputs + 1) * 128 + (128 + 1) * (4 + 3)
        assert sum(value.numel() for value in net.parameters()) == expected


def test_without_attributes_there_is_no_regression():
    net = network("both", classes=2, attributes=0)
    assert net.regressor is None
    assert net(batch("both")).attributes is None


@pytest.mark.parametrize("modality", SIZES)
def test_a_padded_batch_gives_what_its_utterances_give_one_by_one(modality):
    """Outputs, and the gradients of all parameters; penalty and loss are means over the batch."""
    net, whole = network(modality).eval(), batch(modality)
    found, rows = net(whole), [alone(whole, row) for row in range(3)]
    outputs = [net(row) for row in rows]
    for name in ("logits", "attributes", "embedding"):
        expected = torch.cat([getattr(output, name) for output in outputs])
        torch.testing.assert_close(getattr(found, name), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.penalty, torch.stack([output.penalty for output in outputs]).mean())
    means = [torch.stack(values).mean(dim=0) for values in zip(*(gradients(net, row) for row in rows), strict=True)]
    torch.testing.assert_close(list(gradients(net, whole)), means, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("modality", SIZES)
def test_what_is_padding_or_absent_has_no_influence_even_if_it_is_nan(modality):
    net = network(modality).eval()
    clean, dirty = batch(modality), batch(modality, filler=torch.nan)
    for before, after in zip(vars(net(clean)).values(), vars(net(dirty)).values(), strict=True):
        assert torch.equal(before, after)
    assert all(torch.equal(before, after) for before, after in zip(gradients(net, clean), gradients(net, dirty), strict=True))


@pytest.mark.parametrize("modality", SIZES)
def test_every_parameter_is_learnt(modality):
    assert all(gradient.any() for gradient in gradients(network(modality).eval(), batch(modality)))


def test_with_both_the_embedding_is_the_audio_branchs_then_the_text_branchs_and_the_penalty_their_sum():
    both, audio, text = (network(modality).eval() for modality in ("both", "audio", "text"))
    audio.audio.load_state_dict(both.audio.state_dict())
    text.text.load_state_dict(both.text.state_dict())
    found, from_audio, from_text = both(batch("both")), audio(batch("audio")), text(batch("text"))
    assert torch.equal(found.embedding, torch.cat([from_audio.embedding, from_text.embedding], dim=1))
    torch.testing.assert_close(found.penalty, from_audio.penalty + from_text.penalty)


def test_logits_and_attributes_come_from_the_embedding_alone():
    net = network("both").eval()
    output = net(batch("both"))
    fused = net.fusion(output.embedding).clamp(min=0)
    assert torch.equal(net.classifier(fused), output.logits)
    assert torch.equal(net.regressor(fused), output.attributes)


def test_dropout_is_before_and_after_the_fusing_layer_and_spares_the_embedding():
    net, dropped = network("both", dropout=0.5), []
    for layer in (net.fusion, net.classifier):
        layer.register_forward_pre_hook(lambda _, inputs: dropped.append(inputs[0]))
    first, second = net(batch("both")), net(batch("both"))
    assert torch.equal(first.embedding, second.embedding)
    assert not torch.equal(dropped[0], dropped[2])
    fused = net.fusion(dropped[0]).clamp(min=0)
    assert ((dropped[1] == 0) | (dropped[1] == 2 * fused)).all()
    assert not torch.equal(dropped[1] == 0, fused == 0)


def test_the_settings_rebuild_it_after_json():
    net = network("both", dropout=0.3)
    again = EmotionNet(**json.loads(json.dumps(net.settings()))).double()
    again.load_state_dict(net.state_dict())
    assert again.settings() == net.settings()
    assert again.dropout.p == 0.3
    assert torch.equal(again.eval()(batch("both")).logits, net.eval()(batch("both")).logits)


def test_the_text_branch_can_learn_which_sentence_is_the_current_one():
    """The classes of the seven sentences are independent, and only the middle one's is asked for."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 16, generator=generator)

    def draw(size):
        classes = torch.randint(4, (size, 7), generator=generator)
        sentences = centres[classes] + torch.randn(size, 7, 16, generator=generator) / 3
        present = torch.rand(size, 7, generator=generator) > 0.2
        present[:, 3] = True
        return EmotionBatch(sentences=sentences, present=present), classes[:, 3]

    torch.manual_seed(0)
    net = EmotionNet(None, 16, classes=4, sentence_dim=16, fusion_size=32, dropout=0.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        inputs, classes = draw(32)
        output = net(inputs)
        optimizer.zero_grad()
        (F.cross_entropy(output.logits, classes) + 0.1 * output.penalty).backward()
        optimizer.step()
    inputs, classes = draw(500)
    assert (net(inputs).logits.argmax(dim=1) == classes).float().mean() > 0.9


@pytest.mark.parametrize(("modality", "given"), [("audio", "text"), ("text", "both"), ("both", "audio")])
def test_a_batch_of_another_modality_is_refused(modality, given):
    with pytest.raises(ValueError, match="expected frames and sentences in the batch"):
        network(modality)(batch(given))


def test_sentences_without_their_context_are_refused():
    with pytest.raises(ValueError, match="expected 7 sentences around each utterance, found 1"):
        network("text")(EmotionBatch(sentences=torch.zeros(2, 1, 9).double(), present=torch.ones(2, 1, dtype=torch.bool)))


def test_a_network_without_inputs_is_refused():
    with pytest.raises(ValueError, match="audio_size, text_size or both"):
        EmotionNet(None, None, classes=4)


def test_a_batch_moves_to_a_device_with_what_it_has():
    moved = batch("audio").to(torch.device("meta"))
    assert moved.frames.is_meta
    assert moved.lengths.is_meta
    assert moved.sentences is None
    assert moved.present is None
