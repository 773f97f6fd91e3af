"""HuBERT and WavLM of a few kilobytes, drawn at random, as ``transformers`` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def write_tiny_encoder(
    directory: Path,
    architecture: Literal["hubert", "wavlm"],
    *,
    hidden_size: int = 16,
    layers: int = 2,
    convolution_size: int = 8,
    seed: int = 0,
    do_normalize: bool = False,
    **settings: object,
) -> Path:
    """Write an encoder with the convolutions of the public ones (50 frames/s, a frame hears 400 samples); returns the directory.

    Args:
        directory: Where; it is made.
        architecture: As the base models have it: a group norm over time after the first convolution.
        hidden_size: Width of the Transformer; a multiple of 4.
        layers: Of the Transformer.
        convolution_size: Values of a convolved frame.
        seed: Of the weights.
        do_normalize: What preprocessor_config.json says (public: true of HuBERT, false of WavLM-base-plus).
        settings: Of the configuration besides.
    """
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor, WavLMConfig, WavLMModel, logging

    logging.disable_progress_bar()
    # Small, so that short sounds reach the far buckets and both ends of the positional convolution (whose even kernel is the
    # public ones'); initializer_range: at their own, 0.02, so small a model would hardly hear what it attends to.
    chosen: dict[str, object] = {
        "hidden_size": hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * hidden_size,
        "conv_dim": (convolution_size,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "initializer_range": 0.3,
    }
    chosen |= {"num_buckets": 16, "max_bucket_distance": 20} if architecture == "wavlm" else {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if architecture == "wavlm":
            WavLMModel(WavLMConfig(**chosen | settings)).save_pretrained(directory)
        else:
            HubertModel(HubertConfig(**chosen | settings)).save_pretrained(directory)
    Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(directory)
    return directory
