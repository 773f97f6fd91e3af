"""ReCLR, Table 1: how the pretraining objective and λ change depression detection on MDD.

    python -m orchestrator.sweep reclr_lambda
    python -m orchestrator.sweep reclr_lambda --curve      # λ from 0 to 1 in steps of a tenth, as a curve

The paper pretrains on the whole corpus (audio and speaker identities, no labels) and then splits it ten times; so each objective is
pretrained once here, and ten seeds of the classifier share it. The baseline is CoCLR, which is ReCLR with λ = 0.
"""

from search_spaces._reclr import COLUMNS, MDD_PROTOCOL, coclr, fixed, guesses, mdd, printed, reclr, row, simclr
from search_spaces.study import Chain, study
from search_spaces.table import Curve, Row, TableSpec
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.crnn import CrnnClassifier


def tuned(initial: ContrastivePretraining | None) -> Chain:
    """Cnn10 and LSTM trained whole."""
    return lambda seed: CrnnClassifier(features=mdd, initial=initial, seed=seed)


# fmt: off
FIXED = [
    (row("simclr", "SimCLR", printed(76.56, 2.11), printed(76.59, 2.11)), fixed(simclr())),
    (row("coclr", "CoCLR", printed(76.63, 1.95), printed(76.65, 1.95), lambda_=0.0), fixed(coclr())),
    (row("reclr_0.2", "ReCLR (λ = 0.2)", printed(77.64, 2.58), printed(77.68, 2.59), lambda_=0.2), fixed(reclr(0.2))),
    (row("reclr_0.4", "ReCLR (λ = 0.4)", printed(77.90, 2.56), printed(77.94, 2.56), lambda_=0.4), fixed(reclr(0.4))),
]
TUNED = [
    (row("crnn_random", "Random", printed(69.83), printed(70.59)), tuned(None)),
    (row("crnn_coclr", "CoCLR-pretrained", printed(74.7), printed(74.7)), tuned(coclr())),
]
# fmt: on

ROWS = [
    (line.model_copy(update={"label": (cnn10, *line.label), "params": {"cnn10": cnn10, **line.params}}), chain)
    for cnn10, lines in (("none", guesses(mdd)), ("fixed", FIXED), ("tuning", TUNED))
    for line, chain in lines
]

STUDY = study(
    TableSpec(
        study="reclr_lambda",
        title="Depression detection on MDD by pretraining objective",
        source="ReCLR, Table 1",
        row_titles=("Cnn10", "Method"),
        rows=(),
        columns=COLUMNS,
        headline="f1_macro",
        baseline="coclr",
    ),
    rows=ROWS,
    protocol=MDD_PROTOCOL,
)

PRINTED = {line.key: line for line, _ in FIXED}


def tenth(number: int) -> tuple[Row, Chain]:
    """The point λ = number / 10 of the curve, with the table's own numbers where it has them."""
    value, key = number / 10, f"reclr_{number / 10:g}"
    return PRINTED.get(key, row(key, f"ReCLR (λ = {value:g})", lambda_=value)), fixed(reclr(value))


CURVE = study(
    TableSpec(
        study="reclr_lambda_curve",
        title="Depression detection on MDD over λ",
        source="ReCLR, Table 1, between and beyond its two λ",
        row_titles=("Method",),
        rows=(),
        columns=COLUMNS,
        headline="f1_macro",
        baseline="coclr",
        curve=Curve(parameter="lambda_", title="λ, weight of the reference-enhanced loss"),
    ),
    rows=[*guesses(mdd), *FIXED[:2], *map(tenth, range(1, 11))],
    protocol=MDD_PROTOCOL,
)
