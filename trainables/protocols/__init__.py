"""Who trains a model and who scores it: protocols as data, and dividing a corpus' units by them."""

from trainables.protocols.catalogue import PROTOCOLS, find_protocol
from trainables.protocols.division import divide
from trainables.protocols.protocol import Protocol, ScoredSet, restricted, unrestricted

__all__ = ["PROTOCOLS", "Protocol", "ScoredSet", "divide", "find_protocol", "restricted", "unrestricted"]
