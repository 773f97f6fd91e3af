"""What the twins' speakers say: everyday sentences by valence, a depressed style, fillers and an interviewer's questions.

A sentence is a template and a word for each of its slots, drawn with the caller's generator.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

SLOTS = {
    "topic": ["my work", "the new flat", "my family", "the course", "that film", "our trip", "the weather", "my sister",
              "the house", "the team", "the concert", "dinner", "the meeting", "my garden", "the phone", "the neighbours"],
    "time": ["yesterday", "last week", "this morning", "on Sunday", "these days", "in the evening", "a month ago", "lately"],
    "good": ["wonderful", "great", "lovely", "exciting", "brilliant", "delightful", "really good", "so much fun", "beautiful"],
    "bad": ["awful", "terrible", "horrible", "disappointing", "dreadful", "really bad", "painful", "miserable"],
    "plain": ["ordinary", "as usual", "about average", "the same as before", "fine I suppose", "nothing special"],
    "we": ["we", "my friends and I", "the two of us", "everybody"],
    "always": ["always", "constantly", "completely", "totally"],
}  # fmt: skip

POSITIVE = [
    "{topic} was {good} {time}",
    "I really enjoyed {topic} {time}",
    "{time} {we} laughed a lot about {topic}",
    "I am so happy with {topic}",
    "it went {good} and I was proud of it",
    "{we} had a {good} time {time}",
    "I am looking forward to {topic}",
    "honestly {topic} turned out {good}",
    "I slept well and felt full of energy {time}",
    "I would recommend it to anyone, it is {good}",
    "people were kind and {topic} was {good}",
    "what a {good} surprise that was",
]

NEGATIVE = [
    "{topic} was {bad} {time}",
    "I was so upset about {topic} {time}",
    "{time} I argued with them about {topic}",
    "I regret {topic}, it was {bad}",
    "it went wrong and I was ashamed of it",
    "{topic} makes me angry and tired",
    "I do not want to think about {topic}",
    "honestly {topic} turned out {bad}",
    "I slept badly and felt exhausted {time}",
    "I would warn anyone against it, it is {bad}",
    "people were rude and {topic} was {bad}",
    "I cried about {topic} {time}",
]

NEUTRAL = [
    "{topic} was {plain} {time}",
    "I spoke with someone about {topic} {time}",
    "{time} I cooked and cleaned the kitchen",
    "it takes twenty minutes by bus to get there",
    "{we} usually talk about {topic}",
    "I read something about {topic} {time}",
    "it starts at nine and ends at five",
    "there are two rooms and a small kitchen",
]

DEPRESSED = [
    "I {always} feel that I have failed",
    "I never do anything right by myself",
    "nothing I do ever makes any difference to me",
    "I am alone with myself all of the time",
    "everything is too much for me and I am empty",
    "I have lost all interest in {topic} myself",
    "I just stay in my bed, I see nobody",
    "I keep telling myself that it is all my fault",
]

FILLERS = ["mm", "yeah", "well", "no", "I see", "not really", "I don't know", "maybe", "right", "okay"]

QUESTIONS = [
    "how have you been lately?",
    "can you tell me more about that?",
    "what did you do last weekend?",
    "how are you sleeping?",
    "how do you get on with your family?",
    "what is your work like?",
    "when did you last feel like that?",
    "how is your appetite?",
    "what do you do to relax?",
    "is there someone you can talk to?",
    "and how was it then?",
    "what are your plans for the next weeks?",
    "how easy is it to concentrate?",
    "what made you think so?",
]


def sentence(templates: list[str], generator: random.Random, slots: Mapping[str, list[str]] = SLOTS) -> str:
    """One sentence from one of the templates, its first letter a capital, with a full stop.

    Args:
        templates: Sentences with slots in braces.
        generator: Draws the template and the words.
        slots: The words of each slot.
    """
    template = generator.choice(templates)
    words = re.sub(r"{(\w+)}", lambda slot: generator.choice(slots[slot[1]]), template)
    return words[0].upper() + words[1:] + "."
