"""What the readers read: sentences in the manner of old novels.

A module of its own, because a twin's identity includes its texts, and the other twins do not say these.
"""

from __future__ import annotations

SLOTS = {
    "who": ["the captain", "her brother", "the old doctor", "a stranger", "the innkeeper", "young Edward", "the widow", "my uncle"],
    "did": ["walked slowly towards", "looked back at", "had never forgotten", "stood a long while before", "at last came to"],
    "where": ["the garden gate", "the harbour", "the house upon the hill", "the narrow lane", "the mill", "the empty church"],
    "when": [
        "before the sun had risen",
        "late in the autumn",
        "on the following day",
        "towards evening",
        "as the clock struck",
    ],
    "what": ["a sealed letter", "two silver coins", "a lantern", "the heavy key", "a basket of apples", "his father's watch"],
    "how": ["without a word", "in great haste", "with a quiet smile", "not without some doubt", "as gently as he could"],
}

PASSAGES = [
    "{when} {who} {did} {where}",
    "{who} took {what} {how} and went away",
    "{when} there was nobody to be seen near {where}",
    "it was {who} who had left {what} at {where}",
    "{how} {who} put down {what} and {did} {where}",
    "the rain fell upon {where} and {who} waited {how}",
    "from {where} one could see the ships {when}",
    "{who} said {how} that nothing would ever be the same",
]
