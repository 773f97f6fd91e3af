"""The materials of the spoken tasks, and what subjects say of them in own words, by the material's emotional valence.

What is read lasts about six seconds or more, so that most recordings give two segments of four seconds or three, as those of every
task of the corpus give many. A module of its own, because a twin's identity includes its texts. Slots are those of
:mod:`trainables.corpora.twins.sentences`.
"""

from __future__ import annotations

VOCABULARY = {
    "positive": "sunshine, holiday, laughter, friendship, victory, birthday, present, success, garden party, harvest, wedding",
    "neutral": "table, corridor, paper, building, window, number, cupboard, distance, ceiling, timetable, railway, handle",
    "negative": "funeral, failure, loneliness, illness, quarrel, darkness, accident, poverty, farewell, punishment, ruin",
}

ESSAY = {
    "positive": "In spring the whole village danced by the river, and the children sang until the stars came out. "
    "When the bread was baked, everybody sat down together and laughed.",
    "neutral": "The library stands between the station and the bridge, and it is open from eight until six. "
    "Whoever wants to borrow a book fills in a form at the counter.",
    "negative": "The old man sat alone by the cold stove, and nobody had come to see him since the winter. "
    "In the end he put out the lamp and waited for the night to pass.",
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
