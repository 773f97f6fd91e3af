"""A measured mean against a published one."""

from __future__ import annotations

from orchestrator.statistics.summary import Summary
from search_spaces.table import Published


def equivalence_p(measured: Summary, published: Published, scale: float = 1.0) -> float | None:
    """Two one-sided Welch tests (TOST, Schuirmann 1987): p of "further from the published mean than the margin".

    Decision: the margin is the published standard deviation. Equivalent then means that we are no further from the paper's mean
    than its own runs scatter, which needs no threshold of ours. Like the paper's numbers it speaks of runs, not of other speakers.

    Args:
        measured: Mean and sample deviation over seeds.
        published: The paper's number.
        scale: What ``measured`` is multiplied by to be in the unit of ``published`` (100 for percent).

    Returns:
        The larger p of the two; None without a published deviation above 0 and two runs on both sides.
    """
    from scipy.stats import ttest_ind_from_stats

    if measured.std is None or not published.std or published.runs is None or published.runs < 2:
        return None
    p_values = []
    for shift, alternative in ((published.std, "greater"), (-published.std, "less")):
        paper = (published.mean, published.std, published.runs)
        ours = (measured.mean * scale + shift, measured.std * scale, measured.n)
        p_values.append(ttest_ind_from_stats(*ours, *paper, equal_var=False, alternative=alternative).pvalue)
    return float(max(p_values))
