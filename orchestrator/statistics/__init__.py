"""The statistics of a table: what its numbers allow one to say.

``summary`` needs the values alone. The rest works on per-speaker sums of the predictions: ``sums`` (sums from predictions),
``scores`` and ``roc_area`` (metrics from sums), ``resampling`` (speakers resampled, never utterances), ``two_level`` (intervals
over speakers and seeds), ``over_seeds`` (maximum, best seed and gap instead of the mean), ``comparison`` (against the baseline),
``controls`` (against the best control), ``equivalence`` (against the published number), ``table`` (all of it for one table). How
well the intervals and tests hold is measured in ``tests/calibration``.

Importing this package imports neither numpy nor pandas: the command line does so before it knows what it is asked.
"""

from orchestrator.statistics.summary import Summary, summarize
from orchestrator.statistics.table import table_statistics

__all__ = ["Summary", "summarize", "table_statistics"]
