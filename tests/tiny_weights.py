"""Pretrained weights of a few kilobytes, drawn at random, as ``transformers`` writes them."""

from __future__ import annotations

from pathlib import Path

WORDS = ("i", "was", "am", "it", "a", "the", "very", "not", "happy", "sad", "good", "night", "laughter", "<", ">", "xxx")
POSITIONS = 16
"""Tokens that the model takes at most."""


def write_tiny_bert(folder: Path, seed: int = 0) -> Path:
    """Write a BERT of 2 layers and 16 dimensions with its tokenizer; returns the folder."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer, logging

    logging.disable_progress_bar()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)}).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # initializer_range: at BERT's own, 0.02, so small a model would give nearly the same vector for any text
        config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=POSITIONS, initializer_range=0.5, **sizes)
        BertModel(config).save_pretrained(folder)
    return folder
