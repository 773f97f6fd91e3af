"""Scales: the paper's own settings, and small overlays over them for a laptop. The only place where a study gets smaller.

A study is always written at the paper's scale. An overlay replaces *defaults*; what a study sets itself (λ, K, a row's objective)
it cannot touch.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.errors import UserError
from trainables.pretrained import EMBEDDED
from trainables.stage import Stage


@dataclass(frozen=True)
class Scale:
    """How large a study is run.

    Attributes:
        name: The name on the command line.
        seeds: Number of seeds unless the user says otherwise.
        overlay: For each stage class, the defaults that are replaced.
    """

    name: str
    seeds: int
    overlay: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def apply(self, stage: Stage) -> Stage:
        """The stage and its whole chain at this scale."""
        replaced = {name: self.apply(above) for name, above in stage.upstream().items()}
        defaults = self.overlay.get(type(stage).__name__, {})
        unset = {name: value for name, value in defaults.items() if name not in stage.model_fields_set}
        return stage.with_upstream(replaced, **unset)


# A Cnn10 of an eighth of the channels on spectrograms of half the frame rate: about 10 ms a segment and step on one CPU core.
_DEMO = {
    "LogMelFeatures": {"hop": 320},
    "EmotionReference": {"width": 8, "epochs": 12, "batch_size": 32, "precision": "float32"},
    "ContrastivePretraining": {
        "width": 8,
        "batch_size": 32,
        "epochs": 4,
        "iterations_per_epoch": 30,
        "momentum": 0.99,  # the key encoder has 120 steps to follow the query encoder, not 400,000
        "precision": "float32",
    },
    "EmotionClassifier": {"width": 8, "epochs": 12, "batch_size": 32, "learning_rate": 1e-3, "precision": "float32"},
    "SessionClassifier": {"hidden_size": 32, "epochs": 30},
    "FilterbankFeatures": {"hop": 320},
    "SentenceEmbeddings": {"model": EMBEDDED},
    "EmotionModel": {"width": 32, "epochs": 20},
    "SequenceClassifier": {"hidden_size": 32, "epochs": 30, "together": 5},
    "InitialEncoder": {
        "weights": "random",
        "layers": 1,
        "hidden_size": 32,
        "heads": 1,
        "intermediate_size": 64,
        "convolution_size": 32,
        "convolution_norm": "layer",  # nothing is learnt on random frozen convolutions with the base models' norm
    },
    # Ten and fifty times the paper's rates, which are for pretrained weights and thousands of steps: the twins give some 40.
    "SupervisedContrastive": {"epochs": 3, "learning_rate": 5e-3, "precision": "float32"},
    "PooledClassifier": {"learning_rate": 5e-3, "precision": "float32"},
    "DirectFineTuning": {"epochs": 4, "batch_size": 16, "learning_rate": 1e-2, "precision": "float32"},
    "MaskedPretraining": {"clusters": 50, "epochs": 4},
    # Minutes of speech instead of hours: small batches at a higher rate, so that there are some hundred steps.
    "CpcPretraining": {"size": 32, "batch_size": 16, "epochs": 20, "learning_rate": 1e-3, "precision": "float32"},
    "AttributeRegression": {"attention_size": 32, "epochs": 10, "learning_rate": 3e-3, "precision": "float32"},
    "JointRegression": {"size": 32, "attention_size": 32, "epochs": 4, "learning_rate": 3e-3, "precision": "float32"},
    # An eighth of the channels: 35 to 160 ms a step of 16 segments on one core, by depth. At a 16th, for ten epochs and with
    # shorter range tests, which are noisy, nothing was learnt of a cell of Table 5, which has five steps an epoch.
    "ResnetClassifier": {"width": 8, "head_epochs": 3},
    "CrnnClassifier": {
        "width": 8,
        "hidden_size": 32,
        "segments_per_session": 4,
        "epochs": 12,
        "learning_rate": 1e-3,
        "precision": "float32",
    },
}

# Everything runs, nothing is learned: for tests of the machinery.
_SMOKE = {
    "LogMelFeatures": {"hop": 800, "mels": 16},
    "EmotionReference": {"width": 1, "epochs": 1, "batch_size": 64, "precision": "float32"},
    "ContrastivePretraining": {"width": 1, "batch_size": 16, "epochs": 2, "iterations_per_epoch": 2, "precision": "float32"},
    "EmotionClassifier": {"width": 1, "epochs": 1, "batch_size": 64, "precision": "float32"},
    "SessionClassifier": {"hidden_size": 4, "epochs": 1},
    "FilterbankFeatures": {"hop": 800, "mels": 8},
    "SentenceEmbeddings": {"model": EMBEDDED},
    "EmotionModel": {"width": 8, "epochs": 1},
    "SequenceClassifier": {"hidden_size": 4, "epochs": 1, "together": 2},
    "InitialEncoder": {
        "weights": "random",
        "layers": 1,
        "hidden_size": 16,
        "heads": 1,
        "intermediate_size": 16,
        "convolution_size": 8,
    },
    "SupervisedContrastive": {"epochs": 1, "batch_size": 16, "precision": "float32"},
    "PooledClassifier": {"epochs": 1, "precision": "float32"},
    "DirectFineTuning": {"epochs": 1, "precision": "float32"},
    "MaskedPretraining": {"clusters": 4, "epochs": 1, "crop_seconds": 1.0, "batch_size": 4},
    "CpcPretraining": {"size": 8, "encoder_layers": 1, "batch_size": 4, "epochs": 1, "precision": "float32"},
    "AttributeRegression": {"attention_size": 8, "epochs": 1, "precision": "float32"},
    "JointRegression": {"size": 8, "encoder_layers": 1, "attention_size": 8, "epochs": 1, "precision": "float32"},
    "MfccSegments": {"segment_seconds": 1.0, "min_seconds": 0.5, "hop": 2048},
    "ResnetClassifier": {"width": 4, "head_epochs": 1, "epochs": 1, "range_steps": 20},
    "CrnnClassifier": {"width": 1, "hidden_size": 4, "segments_per_session": 2, "epochs": 1, "precision": "float32"},
}

SCALES = {
    scale.name: scale
    for scale in (
        Scale("paper", seeds=10),
        Scale("demo", seeds=3, overlay=_DEMO),
        Scale("smoke", seeds=2, overlay=_SMOKE),
    )
}


def find_scale(name: str) -> Scale:
    """The scale of this name.

    Raises:
        UserError: There is none.
    """
    if name not in SCALES:
        close = difflib.get_close_matches(name, SCALES, n=1)
        raise UserError(
            f"there is no scale {name!r}{f'; did you mean {close[0]!r}?' if close else ''} (scales: {', '.join(SCALES)})"
        )
    return SCALES[name]
