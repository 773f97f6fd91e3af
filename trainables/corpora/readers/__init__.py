"""Readers of corpora in their official layouts: one module each, see :class:`trainables.corpora.corpus.Reader`."""
