"""The status command: what is so, on the terminal and on a page, of any sweep that a store holds documents of."""

import io
import subprocess
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from rich.console import Console

from orchestrator.artifacts import ArtifactStore
from orchestrator.status_page import status_page
from orchestrator.status_sweeps import Sweeps
from orchestrator.status_terminal import terminal
from orchestrator.sweep_documents import write_plan, write_status
from tests.orchestrator.told_sweeps import CLASSIFIER, PRETRAINING, finish, plan_of, running, status_of
from trainables.errors import UserError

FIRST = PRETRAINING.format(0)
VOID = {"meta", "br", "img"}


@pytest.fixture
def store(tmp_path):
    """A living sweep of 2 rows x 3 seeds: of the first row the first trial is done, the second runs; the other row's failed."""
    store, now = ArtifactStore(tmp_path / "store"), datetime.now(UTC)
    write_plan(store, plan_of())
    finish(store, FIRST, tmp_path / "a", wall=7200.0, gpu=7200.0)
    finish(store, CLASSIFIER.format(0, 0), tmp_path / "b", wall=30.0, workers=2, threads=3)
    store.mark_failed(PRETRAINING.format(1), "Traceback (most recent call last):\nZeroDivisionError: in <303_P.wav>")
    runs, waits = {CLASSIFIER.format(0, 1): running()}, {CLASSIFIER.format(0, 2): "needs 1 x 1 GPU; 0 of 8 are free"}
    write_status(store, status_of(seen=now, started=now, running=runs, queued=waits))
    return store


def shown(views, whole=True):
    """What is on the terminal, lines that were broken made one again."""
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(terminal(views, whole), highlight=False)
    return " ".join(console.export_text().split())


def status(*arguments):
    command = [sys.executable, "-m", "orchestrator.status", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={"COLUMNS": "120", "PATH": ""})


def test_the_terminal_tells_every_trial_with_its_reason(store):
    text = shown(Sweeps(store).look())
    for part in (
        "1 of 6 done (2 rows x 3 seeds), 1 running, 1 waiting, 3 failed",
        "[1] 3 x upstream, pretraining lr=1-aaaa failed (it raised an error): ZeroDivisionError: in <303_P.wav>",
        "[2] 1 x classifier lr=0,seed=2-bbbb waits for room: needs 1 x 1 GPU; 0 of 8 are free",
        "✓▶· [2] seed 2",
        "✗✗✗ [1] seeds 0-2",
        "2.00 GPU h and 2.05 CPU h used",  # the classifier reserved 2 x 3 cores for 30 s
        "sharing saved 4.00 GPU h and 4.00 CPU h",  # two more trials would have pretrained
        "the mean of 1 finished",
        "--redo retry",
        "40%",
    ):
        assert part in text, (part, text)


def test_without_a_study_each_sweep_is_told_in_short(store):
    text = shown(Sweeps(store).look(), whole=False)
    assert "1/6" in text
    assert "✗✗✗" not in text


def test_the_page_is_one_whole_file_that_tells_the_same_and_names_no_recording(store):
    page = status_page(Sweeps(store).look(), datetime.now(UTC))
    opened = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag, attributes):
            opened.extend([] if tag in VOID else [tag])
            assert not {"src"} & dict(attributes).keys()
            assert all(value.startswith("#") for name, value in attributes if name == "href")

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Balanced().feed(page)
    assert opened == []
    assert "303_P" not in page
    for part in ("Toy &lt;table&gt;", "ZeroDivisionError", "needs 1 x 1 GPU", '<progress max="1" value="0.400">', 'href="#k1-2"'):
        assert part in page, part
    assert page.count("✗</span>") == 3


def test_the_newest_sweep_of_a_study_is_told_in_detail_and_older_ones_in_a_line(store):
    ended = status_of(key="k0", state="stopped")
    write_plan(store, plan_of(key="k0"))
    write_status(store, ended)
    assert [(view.state.plan.key, view.in_detail) for view in Sweeps(store).look()] == [("k1", True), ("k0", False)]


def test_a_study_is_found_with_whatever_was_asked_besides(store):
    write_plan(store, plan_of(key="k2", study="toy_curve--controls"))
    write_plan(store, plan_of(key="k3", study="other"))
    assert {view.state.plan.key for view in Sweeps(store, "toy").look()} == {"k1", "k2"}
    assert {view.state.plan.key for view in Sweeps(store, "toy_curve--controls").look()} == {"k2"}
    with pytest.raises(UserError, match=r"did you mean 'other'\? there are sweeps of other, toy"):
        Sweeps(store, "othr").look()


def test_looking_again_sees_what_has_changed(store, tmp_path):
    sweeps = Sweeps(store)
    before = sweeps.look()[0]
    finish(store, CLASSIFIER.format(0, 1), tmp_path / "c", wall=90.0)
    after = sweeps.look()[0]
    assert (before.state.counts["done"], after.state.counts["done"]) == (1, 2)
    assert after.hours.cpu - before.hours.cpu == pytest.approx(90 / 3600)


def test_a_result_whose_cost_cannot_be_read_is_counted_and_hides_nothing(store):
    (store.path(FIRST) / "provenance.json").write_text("{")
    text = shown(Sweeps(store).look())
    assert "of 1 finished stages it cannot be told" in text
    assert "0.05 CPU h used" in text


def test_a_fraction_of_a_gpu_counts_as_that_and_results_that_do_not_tell_count_whole(store, tmp_path):
    before = Sweeps(store).look()[0].hours.gpu
    finish(store, CLASSIFIER.format(0, 1), tmp_path / "c", wall=3600.0, gpu=3600.0, gpus=0.25)
    assert Sweeps(store).look()[0].hours.gpu - before == pytest.approx(0.25)
    finish(store, CLASSIFIER.format(0, 2), tmp_path / "d", wall=3600.0, gpu=3600.0)
    assert Sweeps(store).look()[0].hours.gpu - before == pytest.approx(1.25)


def test_the_command_answers_without_torch_ray_mlflow_or_pandas(store, tmp_path):
    script = (
        "import sys; from orchestrator.status import app\n"
        f"try: app(['toy', '--store', {store.uri!r}, '--html', {str(tmp_path / 'page' / 'index.html')!r}])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'mlflow', 'pandas', 'librosa'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 6 done" in done.stdout
    assert "1 of 6 done" in (tmp_path / "page" / "index.html").read_text()


def test_a_store_without_sweeps_is_told_in_words(tmp_path):
    done = status("--results", str(tmp_path))
    assert done.returncode == 2
    assert "no sweep is recorded" in done.stderr
    assert "Traceback" not in done.stderr
