"""Each format on its own: what it shows, what it escapes, what it leaves out; and the same bytes when made again."""

from __future__ import annotations

import base64
import csv
import importlib
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pylatexenc.latexwalker import (
    LatexEnvironmentNode,
    LatexMacroNode,
    LatexSpecialsNode,
    LatexWalker,
    get_default_latex_context_db,
)
from pylatexenc.macrospec import MacroSpec

from orchestrator.records import CellStatistics
from orchestrator.tables.cells import make_table
from orchestrator.tables.files import table_files, write_files, write_refusal
from orchestrator.tables.html import html_page
from orchestrator.tables.latex import latex
from orchestrator.tables.markdown import markdown
from orchestrator.tables.pictures import pictures
from orchestrator.tables.render import Format, render
from orchestrator.tables.tidy import tidy_csv
from search_spaces.study import study_names
from tests.orchestrator.tables.recorded import TABLE, recorded, trials
from trainables.errors import UserError

RUN = "http://127.0.0.1:5000/#/experiments/1/runs"


def test_markdown_shows_and_links_the_numbers_in_the_declared_order() -> None:
    lines = markdown(make_table(recorded())).splitlines()
    assert lines[:6] == [
        "| Cnn10 | Method | F1 (%) | 95 % interval | published | Δ vs SimCLR | p (Holm) | loss | 95 % interval |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| none | chance | [50.00 ± 10.00 (3)]({RUN}/chance) | [40.00, 60.00] | – | – | – "
        f"| **[2.0 ± 1.0 (3)]({RUN}/chance)** | [1.9, 2.1] |",
        f"| fixed | SimCLR | [75.00 ± 5.00 (3)]({RUN}/simclr) | [65.00, 85.00] | 76.56 ± 2.11 | baseline | – "
        f"| **[2.0 ± 1.0 (3)]({RUN}/simclr)** | [1.9, 2.1] |",
        f"| fixed | ReCLR (λ = 0.4) | **[80.00 ± 0.00 (3)]({RUN}/reclr)** † | [70.00, 90.00] | 77.90 | +5.00 [1.25, 8.75] | 0.012 "
        f"| **[2.0 ± 1.0 (3)]({RUN}/reclr)** | [1.9, 2.1] |",
        rf"| tuning | 50 % \| \<CRNN\_x\> | [60.00 ± 10.00 (3)]({RUN}/crnn) | [50.00, 70.00] | – | -15.00 [-25.00, -5.00] | 0.300 "
        f"| **[2.0 ± 1.0 (3)]({RUN}/crnn)** | [1.9, 2.1] |",
    ]


def test_csv_is_tidy_and_gives_back_every_statistic_to_the_last_bit() -> None:
    table = make_table(recorded())
    lines = list(csv.DictReader(io.StringIO(tidy_csv(table))))
    assert [(line["row"], line["metric"]) for line in lines] == [
        (row.key, metric) for row in TABLE.rows for metric in ("f1", "loss")
    ]
    for line in lines:
        kept = {name: float(line[name]) for name in CellStatistics.model_fields if line.get(name)}
        expected = table.cells[line["row"], line["metric"]].statistics.model_dump(exclude_none=True)
        assert kept == expected
    published = [lines[2][f"published_{name}"] for name in ("mean", "std", "runs")]
    assert (lines[2]["unit"], published) == ("percent", ["76.56", "2.11", "10"])


@pytest.mark.parametrize("form", [Format.csv, Format.latex])
def test_csv_and_latex_are_the_same_whatever_store_the_results_are_in(form: Format) -> None:
    table = make_table(recorded())
    assert render(replace(table, links={}), form) == render(table, form)
    assert "127.0.0.1" not in render(table, form)


def columns_of(lines: list[list]) -> set[int]:
    """Numbers of columns of the rows of a tabular, a \\multicolumn counting for all it spans."""
    counts = set()
    for line in lines:
        spans = [
            int(n.nodeargd.argnlist[0].nodelist[0].chars)
            for n in line
            if isinstance(n, LatexMacroNode) and n.macroname == "multicolumn"
        ]
        cells = 1 + sum(isinstance(node, LatexSpecialsNode) and node.specials_chars == "&" for node in line)
        counts.add(cells + sum(span - 1 for span in spans))
    return counts


def check_latex(text: str) -> None:
    """What a parser can see: ASCII, everything closed, tabulars in one environment, as many cells in each row of each."""
    assert text.isascii()
    known = get_default_latex_context_db()
    known.add_context_category("tables", macros=[MacroSpec("multicolumn", "{{{")], prepend=True)
    walker = LatexWalker(text, latex_context=known, tolerant_parsing=False)
    (table,) = [node for node in walker.get_latex_nodes()[0] if isinstance(node, LatexEnvironmentNode)]
    assert table.environmentname == "table*"
    tabulars = [node for node in table.nodelist if isinstance(node, LatexEnvironmentNode)]
    assert {tabular.environmentname for tabular in tabulars} == {"tabular"}
    declared = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)
    for tabular, aligned in zip(tabulars, declared, strict=True):
        check_tabular(tabular, len(aligned))


def check_tabular(tabular: LatexEnvironmentNode, columns: int) -> None:
    lines: list[list] = [[]]
    for node in tabular.nodelist:
        if isinstance(node, LatexMacroNode) and node.macroname == "\\":
            lines.append([])
        else:
            lines[-1].append(node)
    assert columns_of(lines[:-1]) == {columns}
    assert not any(isinstance(node, LatexSpecialsNode) for node in lines[-1])


def test_latex_is_parsed_as_a_booktabs_table_with_as_many_cells_in_each_row() -> None:
    text = latex(make_table(recorded()))
    check_latex(text)
    assert (
        r"fixed & ReCLR ($\lambda$ = 0.4) & {\boldmath\textbf{80.00 $\pm$ 0.00 (3)}}\rlap{\textsuperscript{$\dagger$}} & 77.90 & "
        r"+5.00 & 0.012 & {\boldmath\textbf{2.0 $\pm$ 1.0 (3)}} \\"
    ) in text
    assert r"tuning & 50 \% $|$ $<$CRNN\_x$>$ & 60.00 $\pm$ 10.00 (3) & -- & $-$15.00 & 0.300 &" in text
    assert r"{\scriptsize [70.00, 90.00]} &  & {\scriptsize [1.25, 8.75]}" in text


def test_every_table_and_curve_of_the_project_is_latex_that_pdflatex_knows() -> None:
    modules = [importlib.import_module(f"search_spaces.{name}") for name in study_names()]
    studies = [getattr(module, name) for module in modules for name in ("STUDY", "CURVE") if hasattr(module, name)]
    assert studies
    for study in studies:
        check_latex(latex(make_table(recorded([], study.table, {}), partial=True)))


@pytest.mark.skipif(not (shutil.which("pdflatex") or shutil.which("tectonic")), reason="neither pdflatex nor tectonic is installed")
def test_latex_compiles_with_booktabs_alone(tmp_path: Path) -> None:
    body = latex(make_table(recorded()))
    (tmp_path / "page.tex").write_text(
        f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{body}\\end{{document}}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error"] if shutil.which("pdflatex") else ["tectonic"]
    done = subprocess.run([*command, "page.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").exists()


class Page(HTMLParser):
    """Checks that tags are closed; collects addresses and the rows of cells of each table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.addresses, self.pictures = [], [], []
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("href", "src")]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def test_html_is_whole_shows_the_numbers_and_links_each_to_its_run() -> None:
    page = Page(html_page(make_table(recorded())))
    results, statistics = page.tables
    assert results[4] == [
        "fixed",
        "ReCLR (λ = 0.4)",
        "80.00 ± 0.00 (3)†[70.00, 90.00]",
        "77.90",
        "+5.00[1.25, 8.75]",
        "0.012",
        "2.0 ± 1.0 (3)[1.9, 2.1]",
    ]
    assert statistics[0][2:] == [
        "speakers",
        "Δ vs SimCLR",
        "95 % interval",
        "p uncorrected",
        "p (Holm)",
        "least possible p",
        "Hedges' g",
        "P(A>B)",
        "verdict",
    ]
    assert statistics[3][2:] == ["12", "+5.00", "[1.25, 8.75]", "0.006", "0.012", "0.010", "+1.25", "0.83", "better"]
    runs = [address for address in page.addresses if address.startswith(RUN)]
    assert runs == [f"{RUN}/{row}" for row in ("sweep", *(row.key for row in TABLE.rows for _ in TABLE.columns))]


def test_html_asks_nothing_of_the_network() -> None:
    text = html_page(make_table(recorded()))
    loaded = [address for address in Page(text).addresses if not address.startswith(RUN)]
    assert len(loaded) == 1
    head, data = loaded[0].split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == pictures(make_table(recorded()))["table.png"]
    assert not re.search(r"@import|url\(|<script|<link", text)


def test_html_escapes_whatever_a_study_or_a_link_says() -> None:
    table = make_table(recorded())
    text = html_page(replace(table, links={"simclr": 'x"><script>alert(1)</script>'}))
    assert "<script>" not in text
    assert "50 % | &lt;CRNN_x&gt;" in text
    assert "<title>Toy &amp; table</title>" in text
    Page(text)


def test_the_terminal_shows_whole_numbers_within_120_columns() -> None:
    text = render(make_table(recorded()), Format.terminal)
    assert max(map(len, text.splitlines())) <= 120
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "fixed ReCLR (λ = 0.4) † 80.00 ± 0.00 (3) 77.90 +5.00 0.012 2.0 ± 1.0 (3)" in lines
    assert "[70.00, 90.00] [1.25, 8.75] [1.9, 2.1]" in lines


def test_the_same_trials_in_any_order_give_the_same_bytes_in_every_file() -> None:
    files = [table_files(make_table(recorded(order))) for order in (trials(), trials()[::-1])]
    assert sorted(files[0]) == ["table.csv", "table.html", "table.md", "table.png", "table.tex"]
    assert files[0] == files[1]
    terminal = [render(make_table(recorded(order)), Format.terminal) for order in (trials(), trials()[::-1])]
    assert terminal[0] == terminal[1]


def test_files_are_written_as_they_were_made_and_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    made = table_files(make_table(recorded()))
    assert {path.name: path.read_bytes() for path in write_files(made, tmp_path / "new" / "toy")} == made
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/table\.md: .*--output"):
        write_files(made, tmp_path / "file")


def test_a_refusal_stands_beside_an_older_table_until_a_table_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    made = table_files(make_table(recorded()))
    write_files(made, folder)
    write_refusal(folder, ["row 'crnn' lacks seed 0 of 3", "mixed scale"])
    said = (folder / "REFUSED.txt").read_text()
    assert "any table here is an older one" in said
    assert said.splitlines()[1:] == ["  - row 'crnn' lacks seed 0 of 3", "  - mixed scale"]
    write_files(made, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(made)


def test_a_refusal_makes_no_folder_where_there_is_no_older_table(tmp_path: Path) -> None:
    write_refusal(tmp_path / "toy", ["mixed scale"])
    assert not list(tmp_path.iterdir())


def test_a_refusal_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "REFUSED.txt").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*REFUSED\.txt"):
        write_refusal(tmp_path, ["mixed scale"])
