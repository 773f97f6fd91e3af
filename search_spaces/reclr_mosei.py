"""ReCLR, Table 4: binary sentiment on CMU-MOSEI, the corpus of the reference model, Cnn10 fine-tuned whole.

    python -m orchestrator.sweep reclr_mosei

The corpus' own splits are kept (by speaker where it names none), and the best epoch on the validation set counts, as for the
reference model (section 2.1). The rows of SimCLR and of random weights are ours: the paper begins with CoCLR, the baseline.
"""

from search_spaces._reclr import ASSUMED, COLUMNS, coclr, guesses, mosei, printed, reclr, row, simclr
from search_spaces.study import Chain, study
from search_spaces.table import TableSpec
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.emotion_classifier import EmotionClassifier
from trainables.protocols.catalogue import OWN_SPLITS

task = {"task": "sentiment", "protocol": OWN_SPLITS}


def tuned(initial: ContrastivePretraining | None) -> Chain:
    """Cnn10, from these weights or from random ones, and a fully connected layer trained on MOSEI."""
    return lambda seed: EmotionClassifier(features=mosei, initial=initial, seed=seed, **task)


# fmt: off
ROWS = [
    *guesses(mosei, **task),
    (row("random", "Random"), tuned(None)),
    (row("simclr", "SimCLR"), tuned(simclr())),
    (row("coclr", "CoCLR", printed(66.65, 1.20), printed(69.25, 1.23), lambda_=0.0), tuned(coclr())),
    (row("reclr_0.2", "ReCLR (λ = 0.2)", printed(67.14, 1.22), printed(69.58, 1.25), lambda_=0.2), tuned(reclr(0.2))),
    (row("reclr_0.4", "ReCLR (λ = 0.4)", printed(67.21, 1.11), printed(70.12, 0.82), lambda_=0.4), tuned(reclr(0.4))),
]
# fmt: on

STUDY = study(
    TableSpec(
        study="reclr_mosei",
        title="Sentiment on CMU-MOSEI (2 classes) by pretraining objective",
        source="ReCLR, Table 4",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="f1_macro",
        baseline="coclr",
    ),
    rows=ROWS,
    protocol=(
        "score 0 left out; one reference model and one pretraining per row, whose own variation the "
        "intervals do not cover; pretraining on MDD, without labels, its references from the training set of this same corpus; "
        f"{ASSUMED}"
    ),
)
