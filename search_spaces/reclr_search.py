"""ReCLR beyond its printed settings: λ, K, τ, momentum and masking searched together, then tested once.

    python -m orchestrator.sweep reclr_search

The paper prints two values of λ and one of everything else (sections 2.2 and 3.2). Here a search looks for better ones on a
development split, and a table compares what it found with the paper's settings on speakers whose labels it never read. Pretraining
hears all speakers without labels, as in the paper.
"""

from search_spaces._reclr import COLUMNS, coclr, guesses, mdd, reclr, row
from search_spaces.search import Real, Search, Settings, Whole
from search_spaces.study import Chain, Study, study
from search_spaces.table import Scalar, TableSpec
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.protocols.catalogue import HELD_OUT_30
from trainables.segment_embeddings import SegmentEmbeddings
from trainables.session_classifier import SessionClassifier
from trainables.session_probe import SessionProbe

SPACE = {
    # Table 1 has 0.2 and 0.4, of which the greater is better; 0 is CoCLR, the baseline beside it, and 1 leaves L_C out.
    "lambda_": Real(low=0.05, high=1.0),
    # The paper's 5, from one positive to a third of its batch of 64; same-speaker positives come on top.
    "top_k": Whole(low=1, high=20),
    # 0.1 in the paper; MoCo has 0.07, SimCLR finds 0.05 to 0.5 worth trying (Chen et al. 2020, Table 5).
    "temperature": Real(low=0.03, high=0.5, log=True),
    # 1 - m. MoCo finds 0.9 to 0.9999 to work and no momentum to fail (He et al. 2020, section 4.1).
    "key_step": Real(low=1e-4, high=1e-1, log=True),
    # Masking is the only augmentation, so each axis keeps a stripe. Widths end below the smallest segment of any scale (100 frames,
    # 16 mel bins at smoke scale); a frame is 10 ms at the paper's scale and more at the smaller ones.
    "mask_time_stripes": Whole(low=1, high=4),
    "mask_time_width": Whole(low=8, high=96),
    "mask_mel_stripes": Whole(low=1, high=4),
    "mask_mel_width": Whole(low=2, high=16),
}

PAPER = {
    "lambda_": 0.4,
    "top_k": 5,
    "temperature": 0.1,
    "key_step": 1e-3,  # MoCo's, which the paper follows
    "mask_time_stripes": 2,
    "mask_time_width": 64,
    "mask_mel_stripes": 2,
    "mask_mel_width": 8,
}
"""ReCLR with λ = 0.4 as :class:`~trainables.contrastive_pretraining.ContrastivePretraining` has it."""


def pretraining(point: Settings) -> ContrastivePretraining:
    """ReCLR at a point of the space. Its own seed is fixed: the search compares settings, not draws."""
    return reclr(point["lambda_"], **_others(point))


def _others(point: Settings) -> dict[str, Scalar]:
    """What a point says of the pretraining besides λ; all of it, so that no scale has a say in it."""
    settings = {name: value for name, value in point.items() if name not in ("lambda_", "key_step")}
    return {"momentum": 1 - point["key_step"], **settings}


def probe(encoder: ContrastivePretraining) -> SessionProbe:
    """A linear model on the embeddings of sessions: seconds, where the session classifier needs minutes."""
    return SessionProbe(embeddings=SegmentEmbeddings(encoder=encoder, features=mdd), protocol=HELD_OUT_30)


def development(encoder: ContrastivePretraining, seed: int) -> SessionClassifier:
    """The table's own classifier, scored on development speakers."""
    embeddings = SegmentEmbeddings(encoder=encoder, features=mdd)
    return SessionClassifier(embeddings=embeddings, protocol=HELD_OUT_30, scored_on="dev", seed=seed)


def tested(encoder: ContrastivePretraining) -> Chain:
    """The classifier trained on all others and scored on the test speakers."""
    embeddings = SegmentEmbeddings(encoder=encoder, features=mdd)
    return lambda seed: SessionClassifier(embeddings=embeddings, protocol=HELD_OUT_30, seed=seed)


def table(point: Settings) -> Study:
    """What was found beside the paper's settings, on the test speakers."""
    return study(
        TableSpec(
            study="reclr_search",
            title="Depression detection on MDD with searched settings, on held-out speakers",
            source="ReCLR, sections 2.2 and 3.2",
            row_titles=("Method",),
            rows=(),
            columns=COLUMNS,
            headline="f1_macro",
            baseline="paper",
        ),
        rows=[
            *guesses(mdd, protocol=HELD_OUT_30),
            # The other rows of the paper at the point that the search tried first, whatever the scale: they differ in λ alone.
            (row("coclr", "CoCLR", **PAPER | {"lambda_": 0.0}), tested(coclr(**_others(PAPER)))),
            (row("paper", "ReCLR (λ = 0.4)", **PAPER), tested(pretraining(PAPER))),
            (row("found", "ReCLR (searched)", **point), tested(pretraining(point))),
        ],
        protocol=PROTOCOL,
    )


PROTOCOL = (
    "searched on the speakers who are not held out, then trained on all of them and scored on the held-out ones; one pretraining "
    "per row, whose own variation the intervals do not cover"
)

SEARCH = Search(
    name="reclr_search",
    title="λ, K, τ, momentum and masking of ReCLR, searched together",
    source="ReCLR, sections 2.2 and 3.2",
    space=SPACE,
    paper=PAPER,
    pretraining=pretraining,
    probe=probe,
    development=development,
    study=table,
    rungs=(0.25, 0.5, 1.0),
    trials={"paper": 60, "demo": 8, "smoke": 4},
    metric="f1_macro",
    protocol=PROTOCOL,
)
