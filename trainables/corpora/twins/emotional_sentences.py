"""What the dialogues' actors say in each emotion; slots are those of :mod:`trainables.corpora.twins.sentences`.

A module of its own, because a twin's identity includes its texts, and the other twins do not say these.
"""

from __future__ import annotations

from trainables.corpora.twins.sentences import NEUTRAL, POSITIVE

EMOTIONAL = {
    "ang": [
        "how dare you say that about {topic}",
        "I told you {time} and you did it again",
        "get out and leave me alone",
        "do not lie to me, I know it was you",
        "I have had enough of {topic}",
        "you {always} ruin it for everybody",
        "{topic} is {bad} and it is your fault",
        "stop shouting at me right now",
    ],
    "hap": POSITIVE,
    "exc": [
        "guess what happened {time}",
        "I got it, I really got it",
        "can you believe it, {topic} was {good}",
        "oh my god, this is so {good}",
        "{we} are going to be there, all of us",
        "I cannot wait for {topic}",
        "we won, we won, it was {good}",
        "you have to come and see {topic}",
    ],
    "sad": [
        "I miss her so much",
        "I cannot stop crying about {topic}",
        "{time} I learnt that he had died",
        "there is nothing left for me here",
        "I thought that we would be together",
        "it hurts and I am so tired",
        "I feel alone {time}",
        "she is gone and {topic} means nothing",
    ],
    "fru": [
        "I have been waiting for three hours",
        "this is the fourth form about {topic}",
        "why can nobody tell me anything about {topic}",
        "I said this {time}, are you listening",
        "it is {always} the same with {topic}",
        "I do not know what else I can do",
        "that makes no sense, it is {bad}",
        "every time I try it goes wrong again",
    ],
    "neu": NEUTRAL,
    "sur": ["what, {topic}, are you serious", "I did not expect that at all", "no, really, since when"],
    "fea": ["did you hear that noise", "please do not go, I am scared", "what if he finds out about {topic}"],
    "dis": ["that is disgusting, take it away", "{topic} makes me sick", "how can you eat that"],
    "oth": ["I do not care about {topic}", "whatever you say", "well, that is awkward"],
}
"""Category to its sentences' templates."""
