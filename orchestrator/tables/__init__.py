"""From the trials of a sweep to its table. Pure functions: the same trials give the same bytes.

``frame`` checks the trials and makes a tidy data frame of them, ``cells`` makes the table, ``render`` and ``figure`` show it.
"""
