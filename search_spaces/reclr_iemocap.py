"""ReCLR, Table 3: emotion recognition on IEMOCAP, Cnn10 and a fully connected layer fine-tuned whole.

    python -m orchestrator.sweep reclr_iemocap

The paper splits 'randomly', 70 % to 30 %; here no speaker is on both sides, so its numbers are on easier ground. The baseline is
Cnn10 from random weights.
"""

from search_spaces._reclr import ASSUMED, COLUMNS, coclr, guesses, iemocap, printed, reclr, row, simclr
from search_spaces.study import Chain, study
from search_spaces.table import TableSpec
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.emotion_classifier import EmotionClassifier
from trainables.protocols.catalogue import SPEAKERS_70_30

task = {"task": "emotion5", "protocol": SPEAKERS_70_30}


def tuned(initial: ContrastivePretraining | None) -> Chain:
    """Cnn10, from these weights or from random ones, and a fully connected layer trained on IEMOCAP."""
    return lambda seed: EmotionClassifier(features=iemocap, initial=initial, seed=seed, **task)


# fmt: off
ROWS = [
    *guesses(iemocap, **task),
    (row("random", "Random", printed(52.20), printed(51.40)), tuned(None)),
    (row("simclr", "SimCLR", printed(55.67, 0.91), printed(54.85, 0.92)), tuned(simclr())),
    (row("coclr", "CoCLR", printed(57.14, 0.88), printed(56.44, 0.83), lambda_=0.0), tuned(coclr())),
    (row("reclr_0.2", "ReCLR (λ = 0.2)", printed(57.10, 0.89), printed(56.42, 0.85), lambda_=0.2), tuned(reclr(0.2))),
    (row("reclr_0.4", "ReCLR (λ = 0.4)", printed(56.59, 0.89), printed(55.92, 1.02), lambda_=0.4), tuned(reclr(0.4))),
]
# fmt: on

STUDY = study(
    TableSpec(
        study="reclr_iemocap",
        title="Emotion recognition on IEMOCAP (5 classes) by pretraining objective",
        source="ReCLR, Table 3",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="f1_macro",
        baseline="random",
    ),
    rows=ROWS,
    protocol=(
        "angry, happy (with excited), sad, frustrated, neutral; "
        "one reference model and one pretraining per row, whose own variation the intervals do not cover; pretraining on MDD, "
        f"without labels; {ASSUMED}"
    ),
)
