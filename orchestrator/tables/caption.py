"""The caption: what the numbers are, how they were compared, and what they cannot say."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.tables import text
from orchestrator.tables.cells import ALPHA, Table
from orchestrator.tables.columns_caption import columns_caption, two_level_words
from orchestrator.tables.text import EQUIVALENT, MARKS, NO_BETTER, number, probability, row_name


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
        *columns_caption(table),
        *(_comparison(table) if table.compares(table.headline) else []),
        *(_controls(table) if table.has_controls else []),
        *_bold(table),
        *_equivalence(table),
        f"Scale: {table.sweep.scale}; {_seeds(table.sweep.seeds)}. Protocol: {_protocol(table)}.",
        _corpora(table),
        *_leaks(table),
    ]


def least_seeds(rows: int) -> int:
    """The least number of seeds with which one of ``rows`` can be called better: Holm's ``rows · 2 / 2^n <= 0.05``.

    2 / 2^n is the least two-sided p of an exact sign-flip test over n paired differences.
    """
    seeds = 1
    while rows * 2 / 2**seeds > ALPHA:
        seeds += 1
    return seeds


def _bold(table: Table) -> list[str]:
    """What is bold, and what 'published' is; both only where they occur."""
    families = {table.spec.family(row) for row in table.spec.rows if any(cell.best for cell in table.cells_of(row))}
    among = " among the rows that stand with one baseline" if len(families) > 1 else ""
    rules = " that is a mean over seeds" if any(column.suffix for column in table.spec.columns) else ""
    ranked = any(column.ranked for column in table.spec.columns)
    shown = any(text.beside_title(table, column) == "published" for column in table.spec.columns)
    bold = [f"Bold: the best measured value of a column{rules}{among}."] if ranked else []
    said = [*bold, *(["Published: the source's own number."] if shown else [])]
    return [" ".join(said)] if said else []


def _numbers(table: Table) -> str:
    full, cells = (
        len(table.sweep.seeds),
        [table.cell(row, c) for row in table.spec.rows for c in table.spec.columns if not c.suffix],
    )
    means = [column.title for column in table.spec.columns if not column.suffix]
    each = "Each number" if len(means) == len(table.spec.columns) else f"{', '.join(means)}: each number"
    what = f"{each} is the mean ± sample standard deviation over n seeds (n in parentheses, {full} in a full row)"
    if not table.analysed:
        return f"{what}."
    kinds = _interval_kinds(table)
    if not kinds:
        return f"{what}; no interval could be computed."
    clipped = ", clipped to the possible range" if any(cell.clipped for cell in cells) else ""
    return f"{what}, with the 95 % interval of the mean{clipped}: {'; '.join(kinds)}."


def _interval_kinds(table: Table) -> list[str]:
    """What the intervals cover, with the columns where these differ in it."""
    means = [column for column in table.spec.columns if not column.suffix]
    pairs = [(table.cell(row, column), column.title) for column in means for row in table.spec.rows]
    shown = [(cell.statistics, title) for cell, title in pairs if cell.interval]
    over_speakers = [(statistics.n, title) for statistics, title in shown if statistics.speakers is not None]
    over_seeds = [title for statistics, title in shown if statistics.speakers is None]
    kinds = {}
    if over_speakers:
        kinds[two_level_words({n for n, _ in over_speakers})] = [title for _, title in over_speakers]
    if over_seeds:
        kinds["Student's t over seeds alone, not over speakers"] = over_seeds
    return list(kinds) if len(kinds) == 1 else [f"for {', '.join(dict.fromkeys(of))} {kind}" for kind, of in kinds.items()]


def _comparison(table: Table) -> list[str]:
    name, tested = text.baseline_name(table), {table.paired(key) for key in table.tested()}
    said = [*_baselines(table), *_difference(table, name)]
    if not tested:
        return [*said, f"No row could be tested against {name}."]
    rows, t = _rows(len(table.tested())), "t over speakers" if tested == {1} else "two-level t"
    said.append(
        f"p: paired by seed and test unit; {_sign_flip(tested)} and {t}, the larger of the two; corrected by Holm over {rows}."
    )
    return [*said, *_out_of_reach(table), *_verdicts(table, name)]


def _baselines(table: Table) -> list[str]:
    """Which row is whose baseline, where there are several."""
    if len(table.baselines) == 1:
        return []
    whose = []
    for baseline in table.baselines:
        rows = [row_name(table, row) for row in table.spec.rows if table.spec.opponent(row) == baseline.key]
        whose.append(f"{row_name(table, baseline)} of {', '.join(rows)}")
    return [f"Baselines: {'; '.join(whose)}."]


def _difference(table: Table, name: str) -> list[str]:
    """What Δ is; nothing where no row has one."""
    compared = {row.key: table.statistics(row) for row in table.spec.rows if table.spec.opponent(row)}
    found = {key: statistics for key, statistics in compared.items() if statistics and statistics.difference is not None}
    if not found:
        return []
    points = ", in percentage points" if table.headline.percent else ""
    covered = {table.paired(key) for key, statistics in found.items() if statistics.difference_low is not None}
    interval = f", with its 95 % interval: {two_level_words(covered)}" if covered else ""
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
    most = max(map(table.paired, tested))
    seeds = "1 seed" if most == 1 else f"{most} seeds"
    return [
        f"With {seeds} no row can be called better or worse: the smallest possible corrected p is {probability(min(floors))}; at "
        f"least {least_seeds(len(tested))} seeds are needed."
    ]


def _verdicts(table: Table, name: str) -> list[str]:
    found = {table.verdict(row) for row in table.spec.rows}
    told = [f"{MARKS[verdict]} {verdict} than {name}" for verdict in ("better", "worse") if verdict in found]
    return [f"{', '.join(told)} (p < {ALPHA})."] if told else []


def _controls(table: Table) -> list[str]:
    """What controls are, which is the best, and which rows are no better."""
    names = ", ".join(row_name(table, row) for row in table.spec.rows if row.control)
    said = [f"Controls ({names}) hear nothing but a shortcut, or learn from shuffled labels; they are no hypotheses."]
    held = table.held
    if not held:
        return [*said, "No row could be held against a control."] if table.analysed else said
    covered = {table.pairs(key, table.best_control.key) for key, found in held.items() if found.control_low is not None}
    bare = sum(found.control_low is None for found in held.values())
    if covered:
        said.append(f"{_against_control(table)}; {two_level_words(covered)}, not corrected for the number of rows.")
    if bare:
        mark = "" if covered else f"{NO_BETTER} not shown to be better than {_best_control(table)}. "
        said.append(
            f"{mark}Of {_rows(bare)} there is no interval of the difference from the best control, so nothing could be shown: test "
            "sets of at least two speakers, seeds in common, and a score that can be computed for other speakers are needed."
        )
    return said


def _against_control(table: Table) -> str:
    marked = sum(table.no_better(row) for row in table.spec.rows)
    side = "above" if table.headline.higher_is_better else "below"
    name, interval = _best_control(table), "the 95 % interval of the paired difference from it"
    if not marked:
        return f"All {_rows(len(table.held))} are better than {name}: {interval} lies {side} 0"
    return f"{NO_BETTER} ({marked} of {_rows(len(table.held))}) no better than {name}: {interval} does not lie {side} 0"


def _best_control(table: Table) -> str:
    mean = number(table.statistics(table.best_control).mean, table.headline.decimals)
    unit = " %" if table.headline.percent else ""
    return f"the best control, {row_name(table, table.best_control)} ({table.headline.title} {mean}{unit})"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


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


def _protocol(table: Table) -> str:
    """The protocol, and what the leakage audit states of it."""
    return "; ".join([table.sweep.protocol, *table.sweep.stated])


def _leaks(table: Table) -> list[str]:
    if not table.sweep.leaks:
        return []
    return [f"LEAKS were found and allowed, so the numbers may be too good: {'; '.join(table.sweep.leaks)}."]


def _corpora(table: Table) -> str:
    corpora = table.sweep.corpora
    names = ", ".join(
        f"{role} = {corpus.name}{' (synthetic twin)' if corpus.twin else ''}" for role, corpus in sorted(corpora.items())
    )
    if any(corpus.twin for corpus in corpora.values()):
        return f"Corpora: {names}: such numbers are never comparable to the paper's."
    return f"Corpora: {names}."
