"""What the participants of the screening interviews say without emotion: small talk of many topics, each with words of its own.

A module of its own, because a twin's identity includes its texts, and the other twins do not say these.
"""

from __future__ import annotations

SMALL_TALK_SLOTS = {
    "place": ["Ohio", "Chicago", "Denver", "Boston", "Texas", "Oregon", "Mexico", "Canada", "Alabama", "Seattle"],
    "day": ["on Mondays", "on Tuesdays", "on Wednesdays", "on Thursdays", "on Fridays", "on Saturdays", "every other day"],
    "hour": ["five", "six", "seven", "eight", "nine", "ten", "noon"],
    "count": ["two", "three", "four", "five", "six", "seven", "eight", "eleven"],
    "relative": ["my cousin", "my aunt", "my uncle", "my brother", "my mother", "my father", "my nephew", "my daughter"],
    "season": ["spring", "summer", "autumn", "winter", "April", "June", "August", "November"],
}

SMALL_TALK = {
    "home town": [
        "I come from a place near the coast of {place}",
        "I grew up in {place} with {count} brothers",
        "we moved here from {place} when I was {count}",
        "{relative} still lives in the same street",
        "it is a town with {count} schools and a mill",
        "I was born in {place} and came south",
    ],
    "city": [
        "the traffic starts at {hour} and stops at ten",
        "there are {count} parks on this side of the river",
        "I walk to the market {day}",
        "the bus comes {count} times an hour",
        "most shops downtown close at {hour}",
        "they have been building that bridge for {count} years",
    ],
    "study": [
        "I took chemistry and {count} courses of history",
        "I studied accounting at a college in {place}",
        "the diploma had {count} modules and a project",
        "I finished school in {season}",
        "{day} we had lectures in the old theatre",
        "my subject was geography, maps mostly, like {relative}",
    ],
    "job": [
        "I drive a van for a bakery {day}",
        "I answer letters in an office with {count} desks",
        "my shift begins at {hour}",
        "{day} I stack shelves and count the stock",
        "{relative} and I repair bicycles and prams",
        "I used to be a clerk at the court in {place}",
    ],
    "food": [
        "I cook rice with beans and onions {day}",
        "I have toast and coffee at {hour}",
        "we eat at half past {hour}",
        "{relative} buys bread at the corner",
        "there are {count} bowls of soup in the freezer",
        "I make pasta and salad {day}",
    ],
    "travel": [
        "I took the train to {place} in {season}",
        "the flight has a stop in {place}",
        "{relative} drove us along the lake to {place}",
        "I have been to {place} and {place}",
        "I pack {count} shirts and a map",
        "the ferry leaves at {hour}",
    ],
    "sport": [
        "I swim {day}",
        "{relative} plays baseball in {place}",
        "I run round the block {count} times",
        "they show tennis in the bar {day}",
        "I have {count} pairs of skates somewhere",
        "the gym above the bank opens at {hour}",
    ],
    "music": [
        "I listen to the radio in the car {day}",
        "{relative} played the trumpet at school",
        "there is a piano in the hall in {place}",
        "my records are in {count} boxes",
        "I know {count} songs on the guitar",
        "the choir meets {day} at {hour}",
    ],
    "animals": [
        "I have a cat and {count} fish",
        "the dog sleeps under the table until {hour}",
        "{relative} keeps hens",
        "we had {count} rabbits in {place}",
        "pigeons sit on the roof in {season}",
        "the parrot belongs to {relative}",
    ],
    "climate": [
        "it rains here in {season}",
        "it was twenty degrees at {hour}",
        "in {season} there is fog until {hour}",
        "the wind comes over from {place}",
        "it snows once in {count} years",
        "in {place} the {season} is long and dry",
    ],
    "reading": [
        "I read the paper on the bus {day}",
        "I borrow {count} volumes from the library",
        "it is a novel about ships and {place}",
        "{relative} does the crossword with a pencil",
        "there are {count} magazines in the waiting room",
        "I read manuals until {hour}",
    ],
    "machines": [
        "the laptop is {count} years old",
        "I change the battery every {season}",
        "the cable has {count} plugs",
        "the washing machine is in the cellar with {relative}",
        "{relative} mended the radio with tape",
        "the printer was made in {place}",
    ],
    "shopping": [
        "I write a list and take {count} bags",
        "the shoes from {place} were forty dollars",
        "I need milk, eggs and {count} stamps",
        "the mall has {count} floors and opens at {hour}",
        "{relative} orders things on the internet",
        "they sell tools and paint there {day}",
    ],
    "errands": [
        "I see the dentist in {season}",
        "the bank is on floor {count}",
        "I take vitamins at {hour}",
        "I wear glasses for the screen {day}",
        "I have to renew a passport before {season}",
        "the parcel from {relative} weighs {count} pounds",
    ],
    "army": [
        "I was in the army for {count} years",
        "we were stationed in {place}",
        "I worked in the barracks kitchen {day}",
        "there were {count} of us in a tent",
        "I learnt to drive trucks in {place}",
        "the sergeant got us up at {hour}",
    ],
    "children": [
        "my son is {count} and wears braces",
        "they cycle to kindergarten {day}",
        "we count sheep before bed at {hour}",
        "he collects stamps and stones from {place}",
        "she draws castles and trees with {relative}",
        "the twins were born in {season}",
    ],
}
"""Topic to its sentences' templates; slots are those above."""
