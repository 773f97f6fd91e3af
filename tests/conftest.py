"""What holds for all tests.

Git is out of sight, so that they say the same whether or not the checkout has uncommitted files. And no test fails for being slow:
the first example that hypothesis tries pays for the imports.
"""

import os

from hypothesis import settings

os.environ["GIT_DIR"] = os.devnull
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
