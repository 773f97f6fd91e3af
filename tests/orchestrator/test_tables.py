from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orchestrator.records import SweepRecord, TrialResult
from orchestrator.tables.cells import make_table
from orchestrator.tables.figure import headline_figure
from orchestrator.tables.frame import trials_frame
from orchestrator.tables.render import Format, html_page, latex, markdown, render, tidy_csv
from search_spaces.table import Column, Published, Row, TableSpec
from trainables.errors import UserError

TABLE = TableSpec(
    study="toy",
    title="Toy & table",
    source="A Paper, Table 1",
    row_titles=("Cnn10", "Method"),
    rows=(
        Row(key="simclr", label=("fixed", "SimCLR"), published={"f1": Published(mean=76.56, std=2.11)}),
        Row(key="reclr", label=("fixed", "ReCLR (λ = 0.4)"), published={"f1": Published(mean=77.9)}),
        Row(key="crnn", label=("tuning", "50 % | <CRNN_x>")),
    ),
    columns=(
        Column(metric="f1", title="F1", percent=True, higher_is_better=True),
        Column(metric="loss", title="loss", percent=False, higher_is_better=False, decimals=1),
    ),
    headline="f1",
)
VALUES = {"simclr": (0.7, 0.8, 0.75), "reclr": (0.8, 0.8, 0.8), "crnn": (0.6, 0.5, 0.7)}


def sweep(twin: bool = True, **changes) -> SweepRecord:
    corpora = {"mdd": {"name": "twin-mdd" if twin else "MDD", "digest": "d1", "twin": twin}}
    fields = {
        "study": "toy",
        "key": "k",
        "table": TABLE,
        "seeds": (0, 1, 2),
        "scale": "demo",
        "protocol": "70/30",
        "code": "abc",
    }
    return SweepRecord(corpora=corpora, **{**fields, **changes})


def trial(row: str, seed: int, **changes) -> TrialResult:
    fields = {
        "status": "FINISHED",
        "metrics": {"f1": VALUES[row][seed], "loss": 1.0 + seed},
        "scale": "demo",
        "protocol": "70/30",
    }
    fields |= {"fingerprint": f"Last/{row}-{seed}", "code": {"LogMel": "l1", "Classifier": "c1"}, "corpora": {"mdd": "d1"}}
    return TrialResult(row=row, seed=seed, **{**fields, **changes})


def trials() -> list[TrialResult]:
    return [trial(row, seed) for seed in (2, 0, 1) for row in ("crnn", "reclr", "simclr")]


def test_markdown_shows_mean_std_n_interval_bold_best_and_published_in_the_declared_order() -> None:
    lines = markdown(make_table(sweep(), trials())).splitlines()
    assert lines[:5] == [
        "| Cnn10 | Method | F1 (%) | 95 % interval | published | loss | 95 % interval | published |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| fixed | SimCLR | 75.00 ± 5.00 (3) | [62.58, 87.42] | 76.56 ± 2.11 | **2.0 ± 1.0 (3)** | [-0.5, 4.5] | – |",
        "| fixed | ReCLR (λ = 0.4) | **80.00 ± 0.00 (3)** | [80.00, 80.00] | 77.90 | **2.0 ± 1.0 (3)** | [-0.5, 4.5] | – |",
        r"| tuning | 50 % \| \<CRNN\_x\> | 60.00 ± 10.00 (3) | [35.16, 84.84] | – | **2.0 ± 1.0 (3)** | [-0.5, 4.5] | – |",
    ]


def test_csv_is_tidy_and_gives_back_the_numbers_to_the_last_bit() -> None:
    table = make_table(sweep(), trials())
    lines = list(csv.DictReader(io.StringIO(tidy_csv(table))))
    assert [(line["row"], line["metric"]) for line in lines] == [
        (r, m) for r in ("simclr", "reclr", "crnn") for m in ("f1", "loss")
    ]
    for line in lines:
        summary = table.cells[line["row"], line["metric"]].summary
        found = [float(line[name]) for name in ("mean", "std", "n", "ci_low", "ci_high")]
        assert found == [summary.mean, summary.std, summary.n, summary.ci_low, summary.ci_high]
    assert (lines[0]["unit"], lines[0]["published_mean"], lines[0]["published_std"]) == ("percent", "76.56", "2.11")
    assert (lines[2]["published_mean"], lines[2]["published_std"]) == ("77.9", "")


def test_latex_is_balanced_ascii_booktabs_with_one_cell_per_column() -> None:
    text = latex(make_table(sweep(), trials()))
    assert text.isascii()
    bare = re.sub(r"\\[\\{}$%&_#]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1] == ["table", "tabular"]
    assert not re.search(r"(?<!\\)[%#]", text)
    assert not re.search(r"(?<!\\)_", text)
    rows = [line for line in text.splitlines() if line.endswith(r"(3) & [-0.5, 4.5] & -- \\") or "boldmath" in line]
    assert len(rows) == 3
    assert all(len(re.split(r"(?<!\\)&", row)) == 8 for row in rows)
    assert r"fixed & ReCLR ($\lambda$ = 0.4) & {\boldmath\textbf{80.00 $\pm$ 0.00 (3)}} & [80.00, 80.00] & 77.90 &" in text
    assert r"tuning & 50 \% | $<$CRNN\_x$>$ & 60.00 $\pm$ 10.00 (3)" in text


def test_html_escapes_what_is_text_and_closes_every_tag() -> None:
    class Tags(HTMLParser):
        depth: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag, attrs):
            self.depth.append(tag)

        def handle_endtag(self, tag):
            assert self.depth.pop() == tag

    text = html_page(make_table(sweep(), trials()))
    Tags().feed(text)
    assert not Tags.depth
    assert "<td>50 % | &lt;CRNN_x&gt;</td>" in text
    assert "Toy &amp; table" in text


@pytest.mark.parametrize("form", list(Format))
def test_the_same_trials_in_any_order_give_the_same_bytes(form: Format) -> None:
    assert render(make_table(sweep(), trials()), form) == render(make_table(sweep(), trials()[::-1]), form)


def test_the_figure_has_the_same_bytes_when_made_again(tmp_path: Path) -> None:
    first, second = (headline_figure(make_table(sweep(), trials()), tmp_path / name) for name in ("1.png", "2.png"))
    assert first.read_bytes().startswith(b"\x89PNG")
    assert first.read_bytes() == second.read_bytes()


def test_best_follows_the_direction_of_its_column_and_ties_at_the_shown_precision() -> None:
    better = [trial("simclr", seed, metrics={"f1": 0.800001, "loss": 0.5}) for seed in (0, 1, 2)]
    table = make_table(sweep(), [*better, *(t for t in trials() if t.row != "simclr")])
    best = {place for place, cell in table.cells.items() if cell.best}
    assert best == {("simclr", "f1"), ("reclr", "f1"), ("simclr", "loss")}


def test_the_caption_names_source_scale_seeds_protocol_and_twins() -> None:
    caption = make_table(sweep(), trials()).caption
    for part in (
        "A Paper, Table 1",
        "Scale: demo",
        "seeds 0-2",
        "70/30",
        "sample standard deviation",
        "variation between seeds only",
    ):
        assert part in caption
    assert "Corpora: mdd = twin-mdd (synthetic twin): such numbers are never comparable to the paper's." in caption
    assert "PARTIAL" not in caption


def test_real_corpora_carry_no_twin_warning() -> None:
    caption = make_table(sweep(twin=False), trials()).caption
    assert "Corpora: mdd = MDD." in caption
    assert "never comparable" not in caption


def test_every_fault_of_the_trials_is_told_at_once() -> None:
    faulty = [t for t in trials() if (t.row, t.seed) not in {("simclr", 1), ("simclr", 2), ("crnn", 0)}]
    faulty += [trial("crnn", 0, status="FAILED"), trial("reclr", 1, fingerprint="Last/other")]
    faulty[0] = faulty[0].model_copy(update={"corpora": {"mdd": "d2"}, "protocol": "80/20", "scale": "paper"})
    with pytest.raises(UserError) as raised:
        make_table(sweep(), faulty)
    message = str(raised.value)
    for part in (
        "'simclr' lacks seeds 1, 2 of 3",
        "'crnn' lacks seed 0 of 3",
        "'reclr' has seed 1 2 times",
        "Last/other",
        "--partial",
    ):
        assert part in message
    for part in ("mixed corpus mdd: 'd1'", "mixed protocol: '70/30'", "mixed scale: 'demo'"):
        assert part in message


def test_one_class_of_stage_computed_by_two_codes_is_refused_with_the_way_out() -> None:
    mixed = [t.model_copy(update={"code": {**t.code, "Classifier": "c2"}}) if t.row == "crnn" else t for t in trials()]
    with pytest.raises(UserError) as raised:
        make_table(sweep(), mixed)
    assert (
        "mixed code of Classifier: 'c1' in 6 trials, 'c2' in 3 trials; run the sweep again with --redo force to compute all with "
        "the present code, or --partial"
    ) in str(raised.value)
    assert "LogMel" not in str(raised.value)


def test_two_codes_of_one_class_within_a_chain_are_refused() -> None:
    mixed = [t.model_copy(update={"code": {"LogMel": "l1+l2"}}) for t in trials()]
    with pytest.raises(UserError, match="mixed code of LogMel: 'l1' in 9 trials, 'l2' in 9 trials"):
        make_table(sweep(), mixed)


def test_different_classes_may_have_different_code() -> None:
    others = [t.model_copy(update={"code": {"LogMel": "l1", "Crnn": "r9"}}) if t.row == "crnn" else t for t in trials()]
    assert "PARTIAL" not in make_table(sweep(), others).caption


def test_the_shown_interval_of_a_bounded_percentage_is_clipped_and_the_caption_says_so() -> None:
    wide = [
        t.model_copy(update={"metrics": {**t.metrics, "f1": (0.99, 0.6, 0.95)[t.seed]}}) if t.row == "crnn" else t for t in trials()
    ]
    table = make_table(sweep(), wide)
    summary = table.cells["crnn", "f1"].summary
    assert summary.ci_high > 100
    assert f"[{summary.ci_low:.2f}, 100.00]" in markdown(table)
    assert repr(summary.ci_high) in tidy_csv(table)
    assert "mean over seeds (clipped to the possible range), which" in table.caption
    assert "clipped" not in make_table(sweep(), trials()).caption


def test_a_percentage_that_is_not_bounded_is_not_clipped() -> None:
    gain = TABLE.model_copy(
        update={"columns": (Column(metric="f1", title="gain", percent=True, higher_is_better=True, bounded=False),)}
    )
    wide = [t.model_copy(update={"metrics": {"f1": (0.99, 0.6, 0.95)[t.seed]}}) for t in trials()]
    table = make_table(sweep(table=gain), wide)
    assert f"{table.cells['crnn', 'f1'].summary.ci_high:.2f}]" in markdown(table)
    assert "clipped" not in table.caption


def test_a_partial_table_is_made_on_demand_and_says_so_in_every_format() -> None:
    some = [t for t in trials() if t.row != "crnn" and (t.row, t.seed) != ("simclr", 1)]
    table = make_table(sweep(), some, partial=True)
    assert table.cells["crnn", "f1"].summary is None
    assert table.cells["simclr", "f1"].summary.n == 2
    for form in (Format.markdown, Format.latex, Format.html):
        assert "PARTIAL TABLE, not to be quoted" in render(table, form)
    assert "crnn,tuning,50 % | <CRNN_x>,f1,percent,,,0,,,," in tidy_csv(table)


@pytest.mark.parametrize("partial", [False, True])
def test_a_metric_that_is_not_a_number_is_an_error_that_names_the_trial(partial: bool) -> None:
    broken = [
        trial("simclr", 1, metrics={"f1": float("nan"), "loss": 1.0}) if (t.row, t.seed) == ("simclr", 1) else t for t in trials()
    ]
    with pytest.raises(UserError, match=r"simclr.*seed 1.*nan"):
        make_table(sweep(), broken, partial=partial)


def test_a_failed_trial_never_enters_the_frame() -> None:
    frame = trials_frame(sweep(), [*trials(), trial("crnn", 0, status="FAILED", metrics={"f1": 0.0, "loss": 0.0})])
    assert list(frame.columns) == ["row", "seed", "metric", "value", "fingerprint"]
    assert len(frame) == 18
    assert frame["value"].min() == 0.5
