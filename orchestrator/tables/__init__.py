"""From a recorded sweep to its table. Pure functions: the same record gives the same bytes.

``faults`` judges the trials, ``cells`` makes the table, ``caption`` says what its numbers are; ``render`` shows it in every format
and ``pictures`` draws it; ``files`` writes all of one table, ``index`` those of a whole store.
"""
