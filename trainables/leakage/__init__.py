"""The leakage audit: what may not be shared between those who are trained on and those who are scored, and whether it is.

``exposure`` is what a stage declares of itself, ``sets`` who is in which set, ``overlaps`` what the sets share, ``interviews``
what a manifest says of its talkers and diagnoses, ``chain`` what the stages of a chain learn from, ``findings`` what all answer.
"""
