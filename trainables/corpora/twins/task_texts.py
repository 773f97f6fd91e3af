"""The materials of the spoken tasks, and what subjects say of them in own words, by the material's emotional valence.

A module of its own, because a twin's identity includes its texts. Slots are those of :mod:`trainables.corpora.twins.sentences`.
"""

from __future__ import annotations

VOCABULARY = {
    "positive": "sunshine, holiday, laughter, friendship, victory, birthday",
    "neutral": "table, corridor, paper, building, window, number",
    "negative": "funeral, failure, loneliness, illness, quarrel, darkness",
}

ESSAY = {
    "positive": "In spring the whole village danced by the river, and the children sang until the stars came out.",
    "neutral": "The library stands between the station and the bridge, and it is open from eight until six.",
    "negative": "The old man sat alone by the cold stove, and nobody had come to see him since the winter.",
}

INTERVIEW = {
    "positive": [
        ["the best day was {time}, it was {good}", "my friends gave me a {good} present", "I am proud of {topic}"],
        ["I would like to travel and see the sea", "{topic} makes me laugh", "it is {good} when {we} cook together"],
    ],
    "neutral": [
        ["I get up at seven and have some tea", "I take the bus to the university", "{time} I had two lectures"],
        ["my room has a desk and two beds", "{topic} was {plain} {time}", "the canteen is next to the library"],
    ],
    "negative": [
        ["I failed an exam {time}", "{topic} was {bad} and I cried", "nobody came when I was ill"],
        ["I am afraid of {topic}", "it hurts when people laugh at me", "I still feel guilty about {topic}"],
    ],
}
"""Of each valence, what is answered to each question."""

PICTURE = {
    "positive": ["a family is having dinner in the garden", "the girl smiles and holds a puppy", "they look happy, it is {good}"],
    "neutral": ["there is a chair beside a white wall", "a man is reading the newspaper", "I see a street with some parked cars"],
    "negative": ["a woman is crying beside a bed", "the house has burnt down", "the boy is alone, it looks {bad}"],
}
