"""Supervised contrastive fine-tuning of a CPC network that is pretrained here, on any two corpora.

    python -m orchestrator.sweep supcon_cpc_encoder --corpora corpora.toml --scale paper --seeds 3

What stays frozen is the encoder of frames, what is fine-tuned the recurrent network over them. Rows, folds and the bar are those of
`supcon_own_encoder`; the encoder is that of seed 0 among those that `cpc_own_encoder` probes.
"""

from search_spaces._cpc import pretrained
from search_spaces._supcon import Training
from search_spaces.cpc_own_encoder import ENCODER
from search_spaces.supcon_own_encoder import own_encoder

# An hour of speech, hundreds of utterances and a recurrent layer of 128 values: so many steps that two cores finish in minutes, at
# rates that take weights as far as the paper's rates do in its thousands of steps (steps times rate).
TRAINING = Training(
    one={"epochs": 20, "learning_rate": 3e-3, "halve_from": 12, "halve_every": 3, "precision": "float32"},
    two={"epochs": 20, "learning_rate": 2e-3, "decay_from": 11, "decay_every": 10, "precision": "float32"},
    ft={"epochs": 25, "learning_rate": 2e-3, "decay_from": 18, "decay_every": 10, "precision": "float32"},
)

STUDY = own_encoder(
    "supcon_cpc_encoder",
    "Emotion recognition by a CPC network that is pretrained here",
    {"cpc": ("CPC", pretrained(**ENCODER))},
    TRAINING,
)
