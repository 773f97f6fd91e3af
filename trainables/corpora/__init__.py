"""Recordings with speakers, sessions, labels, transcripts and splits, read into one manifest with fixed columns.

``registry.open_corpora`` opens and checks them, ``corpus.CorpusSource`` is what a stage sees, ``audio.read_audio`` reads the
sound, ``manifest`` owns the columns, ``twins`` makes the licence-free demo corpora.
"""
