"""Twins: licence-free demo corpora of synthesised speech that stand in for licensed ones, traps and planted effects included.

``recipe`` says what a twin is, ``effects`` what is planted, ``settings`` reads it from corpora.toml, ``script`` says who speaks
what and how (one module for each kind of corpus), ``speech`` makes the sound, ``build`` makes the folder.
"""
