"""What the virtual interviewer of the screening interviews says.

A module of its own, because a twin's identity includes its texts, and the other twins do not say these.
"""

from __future__ import annotations

OPENING = "Hi, I'm Ellie. Thanks for coming in today. Are you okay with this?"

PROMPTS = [
    "where are you from originally?",
    "what do you like about living here?",
    "what are some things that you do to relax?",
    "how are you at controlling your temper?",
    "when was the last time you argued with someone?",
    "tell me about something that you did recently.",
    "what did you study at school?",
    "how would your best friend describe you?",
    "who is someone that has been a positive influence in your life?",
    "how close are you to your family?",
    "is there anything that you regret?",
    "what is your dream job?",
    "how easy is it for you to get a good night's sleep?",
    "when was the last time you felt really happy?",
]

PROBES = [
    "have you been diagnosed with depression?",
    "how long ago were you diagnosed?",
    "do you still go to therapy now?",
    "have you noticed any changes in your behaviour lately?",
    "do you feel down?",
    "what were your symptoms?",
]
"""Prompts about depression: follow-ups that the human wizard behind Ellie chose for whom they seemed to fit."""

REPLIES = ["mhm.", "okay.", "that's great.", "that sounds hard.", "I see what you mean.", "can you tell me about that?"]

CLOSING = "Okay, I think I have asked everything I need to. Goodbye."
