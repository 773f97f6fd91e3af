"""What podcasts' speakers say in contempt; a module of its own, because a twin's identity includes its texts."""

from __future__ import annotations

CONTEMPT = [
    "and they call that {good}, please",
    "anybody could have seen that {topic} would be {bad}",
    "I would not listen to somebody like him",
    "well, what did you expect of people like that",
    "as if they knew anything about {topic}",
]
