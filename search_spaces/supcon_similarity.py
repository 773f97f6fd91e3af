"""Supervised contrastive fine-tuning, Figure 4: similarity of positive and negative pairs by layer, before and after stage one.

    python -m orchestrator.sweep supcon_similarity

The pairs are of utterances of IEMOCAP and CASIA by speakers that stage one has not heard: the first fold's.
"""

from search_spaces._supcon import SPEAKERS, tuned
from search_spaces.study import Chain, study
from search_spaces.table import Column, Curve, Row, TableSpec
from trainables.encoder_similarity import EncoderSimilarity
from trainables.initial_encoder import InitialEncoder
from trainables.layer_similarity import LayerSimilarity

LAYERS = 12  # of the base models

STATES = {"original": "original WavLM", "fine_tuned": "fine-tuned WavLM"}

WAVLM = InitialEncoder(architecture="wavlm", layers=LAYERS)


def layer(state: str, number: int) -> Chain:
    """One layer's similarities; 0 is what the first layer reads."""

    def chain(seed: int) -> LayerSimilarity:
        after = tuned(WAVLM, SPEAKERS, seed)
        similarity = EncoderSimilarity(encoder=WAVLM, tuned=after if state == "fine_tuned" else None, sources=after.sources)
        return LayerSimilarity(similarity=similarity, layer=number)

    return chain


def _column(metric: str, title: str) -> Column:
    return Column(metric=metric, title=title, percent=False, higher_is_better=None, decimals=3)


STUDY = study(
    TableSpec(
        study="supcon_similarity",
        title="Cosine similarity of positive and negative pairs by layer",
        source="Supervised contrastive learning across corpora, Figure 4",
        row_titles=("Encoder", "Layer"),
        rows=(),
        columns=(
            _column("positive", "positive pairs"),
            _column("negative", "negative pairs"),
            _column("gap", "difference"),
        ),
        headline="gap",
        curve=Curve(
            parameter="layer", title="Transformer layer", columns=("positive", "negative"), panel="encoder", upright="cosine"
        ),
    ),
    rows=[
        (
            Row(
                key=f"{state}_{number}",
                label=(title, str(number)),
                params={"encoder": title, "layer": number},
                compared=False,
            ),
            layer(state, number),
        )
        for state, title in STATES.items()
        for number in range(LAYERS + 1)
    ],
    protocol="pairs of held-out utterances of both corpora; positive: the same emotion, in whichever corpus; negative: another one",
)
