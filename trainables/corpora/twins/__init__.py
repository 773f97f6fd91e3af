"""Twins: licence-free demo corpora of synthesised speech that stand in for licensed ones, traps and planted effects included.

``recipe`` says what a twin is, ``effects`` what is planted, ``script`` who says what and how, ``speech`` makes the sound,
``build`` makes the folder.
"""
