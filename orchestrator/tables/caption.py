"""The caption: what the numbers are, how they were compared, and what they cannot say."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.tables.cells import ALPHA, Table
from orchestrator.tables.text import EQUIVALENT, MARKS, probability, row_name
from search_spaces.table import Row


def caption(table: Table) -> str:
    """All of it in one paragraph, with the title, for the formats that have no heading."""
    return " ".join(filter(None, [warning(table), f"{table.spec.title}, after {table.spec.source}.", *sentences(table)]))


def warning(table: Table) -> str:
    """What makes a table partial, which comes first because it must not be missed; '' for a whole table."""
    return f"PARTIAL TABLE, not to be quoted: {'; '.join(table.problems)}." if table.problems else ""


def sentences(table: Table) -> list[str]:
    """What the numbers are, how they were compared, on what they were measured."""
    return [
        _numbers(table),
        *(_comparison(table, table.baseline) if table.compares(table.headline) else []),
        "Bold: the best measured value of a column. Published: the source's own number.",
        *_equivalence(table),
        f"Scale: {table.sweep.scale}; {_seeds(table.sweep.seeds)}. Protocol: {table.sweep.protocol}.",
        _corpora(table),
    ]


def least_seeds(rows: int) -> int:
    """The least number of seeds with which one of ``rows`` can be called better: Holm's ``rows · 2 / 2^n <= 0.05``.

    2 / 2^n is the least two-sided p of an exact sign-flip test over n paired differences.
    """
    seeds = 1
    while rows * 2 / 2**seeds > ALPHA:
        seeds += 1
    return seeds


def _numbers(table: Table) -> str:
    full, cells = len(table.sweep.seeds), table.cells.values()
    what = f"Each number is the mean ± sample standard deviation over n seeds (n in parentheses, {full} in a full row)"
    if not table.analysed:
        return f"{what}."
    kinds = _interval_kinds(table)
    if not kinds:
        return f"{what}; no interval could be computed."
    clipped = ", clipped to the possible range" if any(cell.clipped for cell in cells) else ""
    return f"{what}, with the 95 % interval of the mean{clipped}: {'; '.join(kinds)}."


def _interval_kinds(table: Table) -> list[str]:
    """What the intervals cover, with the columns where these differ in it."""
    pairs = [(table.cell(row, column), column.title) for column in table.spec.columns for row in table.spec.rows]
    shown = [(cell.statistics, title) for cell, title in pairs if cell.interval]
    over_speakers = [(statistics.n, title) for statistics, title in shown if statistics.speakers is not None]
    over_seeds = [title for statistics, title in shown if statistics.speakers is None]
    kinds = {}
    if over_speakers:
        kinds[_two_level({n for n, _ in over_speakers})] = [title for _, title in over_speakers]
    if over_seeds:
        kinds["Student's t over seeds alone, not over speakers"] = over_seeds
    return list(kinds) if len(kinds) == 1 else [f"for {', '.join(dict.fromkeys(of))} {kind}" for kind, of in kinds.items()]


def _two_level(seeds: set[int]) -> str:
    """What the two-level intervals over these numbers of seeds cover."""
    if seeds == {1}:
        return "over speakers alone, not over seeds, of which there is one"
    return "two-level (speakers × seeds)" + (", but over speakers alone where there is one seed" if 1 in seeds else "")


def _comparison(table: Table, baseline: Row) -> list[str]:
    name, tested = row_name(table, baseline), {table.pairs(key) for key in table.tested()}
    said = _difference(table, name)
    if not tested:
        return [*said, f"No row could be tested against {name}."]
    rows = "1 row" if len(table.tested()) == 1 else f"{len(table.tested())} rows"
    t = "t over speakers" if tested == {1} else "two-level t"
    said.append(
        f"p: paired by seed and test unit; {_sign_flip(tested)} and {t}, the larger of the two; corrected by Holm over {rows}."
    )
    return [*said, *_out_of_reach(table), *_verdicts(table, name)]


def _difference(table: Table, name: str) -> list[str]:
    """What Δ is; nothing where no row has one."""
    found = {row.key: statistics for row in table.spec.rows if (statistics := table.statistics(row))}
    found = {key: statistics for key, statistics in found.items() if statistics.difference is not None}
    if not found:
        return []
    points = ", in percentage points" if table.headline.percent else ""
    covered = {table.pairs(key) for key, statistics in found.items() if statistics.difference_low is not None}
    interval = f", with its 95 % interval: {_two_level(covered)}" if covered else ""
    return [f"Δ: mean difference from {name} in {table.headline.title}, with the same seeds and test units{points}{interval}."]


def _sign_flip(seeds: set[int]) -> str:
    """The test over these numbers of seeds."""
    from orchestrator.statistics.comparison import EXACT_UP_TO, RANDOM_PATTERNS

    if max(seeds) <= EXACT_UP_TO:
        return "exact sign-flip over seeds"
    patterns = f"{RANDOM_PATTERNS:,} random patterns"
    if min(seeds) > EXACT_UP_TO:
        return f"sign-flip over seeds by {patterns}"
    return f"sign-flip over seeds (exact up to {EXACT_UP_TO} seeds, by {patterns} beyond)"


def _out_of_reach(table: Table) -> list[str]:
    """That so few seeds cannot tell anything, instead of a silent lack of marks."""
    tested = table.tested()
    floors = [statistics.p_floor for statistics in tested.values() if statistics.p_floor is not None]
    if not floors or min(floors) <= ALPHA:
        return []
    number = max(map(table.pairs, tested))
    seeds = "1 seed" if number == 1 else f"{number} seeds"
    return [
        f"With {seeds} no row can be called better or worse: the smallest possible corrected p is {probability(min(floors))}; at "
        f"least {least_seeds(len(tested))} seeds are needed."
    ]


def _verdicts(table: Table, name: str) -> list[str]:
    found = {table.verdict(row) for row in table.spec.rows}
    told = [f"{MARKS[verdict]} {verdict} than {name}" for verdict in ("better", "worse") if verdict in found]
    return [f"{', '.join(told)} (p < {ALPHA})."] if told else []


def _equivalence(table: Table) -> list[str]:
    if not any(cell.equivalent for cell in table.cells.values()):
        return []
    return [
        f"{EQUIVALENT} equivalent to the published mean: closer to it than the published standard deviation (two one-sided tests, "
        f"p < {ALPHA}, not corrected)."
    ]


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    run = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"seeds {seeds[0]}-{seeds[-1]}" if run else f"seeds {', '.join(map(str, seeds))}"


def _corpora(table: Table) -> str:
    corpora = table.sweep.corpora
    names = ", ".join(
        f"{role} = {corpus.name}{' (synthetic twin)' if corpus.twin else ''}" for role, corpus in sorted(corpora.items())
    )
    if any(corpus.twin for corpus in corpora.values()):
        return f"Corpora: {names}: such numbers are never comparable to the paper's."
    return f"Corpora: {names}."
