"""All tables of a store: the files of each, and one page to read them on."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from orchestrator.tables.cells import Table, make_table
from orchestrator.tables.files import table_files
from orchestrator.tables.html import link, page, section
from orchestrator.tables.pictures import pictures
from trainables.errors import UserError


@dataclass
class Collection:
    """The tables that could be made, and for each study without one the reasons; both by study."""

    tables: dict[str, Table] = field(default_factory=dict)
    refused: dict[str, tuple[str, ...]] = field(default_factory=dict)


def collect(uri: str, partial: bool = False) -> Collection:
    """The table of every study that has a sweep.

    Raises:
        UserError: The store cannot be read, or has no sweep at all.
    """
    from orchestrator.tracking import read_sweep, studies

    found = Collection()
    for study in studies(uri):
        try:
            found.tables[study] = make_table(read_sweep(uri, study), partial)
        except UserError as error:
            found.refused[study] = error.messages
    if not found.tables and not found.refused:
        raise UserError(
            "no study has a sweep in this MLflow store; run one (`python -m orchestrator.sweep --list` names them), or point "
            "--results or MLFLOW_TRACKING_URI to where one ran"
        )
    return found


def collection_files(found: Collection) -> dict[str, bytes]:
    """By path: ``index.html``, and the files of every table in a folder with its study's name."""
    files: dict[str, bytes] = {}
    sections = [f"<h1>Tables</h1>\n{_contents(found)}\n"]
    for study, table in found.tables.items():
        drawn = pictures(table)
        made = table_files(table, drawn)
        files |= {f"{study}/{name}": content for name, content in made.items()}
        links = " · ".join(link(f"{study}/{name}", name) for name in made)
        sections.append(section(table, drawn, "h2", f'<p class="files">Files: {links}</p>'))
    sections += [_refusal(study, reasons) for study, reasons in found.refused.items()]
    return {**files, "index.html": page("Tables", "".join(sections)).encode()}


def _contents(found: Collection) -> str:
    lines = [f"{link(f'#{study}', table.spec.title)} ({escape(table.spec.source)})" for study, table in found.tables.items()]
    lines += [f"{link(f'#{study}', study)}: no table" for study in found.refused]
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>"


def _refusal(study: str, reasons: tuple[str, ...]) -> str:
    listed = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return (
        f'<section id="{escape(study)}">\n<h2>{escape(study)}</h2>\n'
        f'<p class="partial">There is no table of this study:</p>\n<ul>{listed}</ul>\n</section>\n'
    )
