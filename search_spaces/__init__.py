"""One file per table or search of a paper; each reads like the table it makes. Knows the trainables only.

A module that defines ``STUDY`` is a study: ``python -m orchestrator.sweep --list`` shows it.
"""
