"""The schedule of the rounds, and what is made of them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.checker import Fault
from tests.chaos.driving.figures import BEGIN, END, figures, keep, rows, table
from tests.chaos.driving.matrix import schedule, short
from tests.chaos.driving.moments import CELLS, MOMENTS, Cell
from tests.chaos.driving.rounds import Kill

LOST = Fault("runs_end", "run-1", "it stops")
WORKER = Cell("worker", "mid-text", "re-attachable")
CHAT = Cell("worker", "mid-text", "not")
ABOUT = {
    "date": "2026-01-02",
    "minutes": 12.3,
    "seed": 1,
    "stacks": 4,
    "machine": {"cores": 2, "system": "Linux", "python": "3.11", "temporal": "temporal 1"},
}


def kills() -> list[Kill]:
    """Three kills and two rounds that came to nothing, one of them with a fault."""
    return [
        Kill(WORKER, "text written#1", 1, killed=True, runs=4, recovery=(5.0, 5.2), rebilled_unnamed=7),
        Kill(CHAT, "text written#2", 2, killed=True, runs=4, recovery=(4.0,), rebilled=1234, faults=(LOST,)),
        Kill(Cell("all", "waiting for approval", "not"), "waits#1", 3, killed=True, runs=3, woken=(1.1,)),
        Kill(WORKER, "text written#9", 4, killed=False, runs=4),
        Kill(Cell("gateway", "finishing", "not"), "finished#1", 5, killed=False, faults=(LOST,)),
    ]


def test_every_cell_has_as_many_rounds_as_any_other() -> None:
    counts = Counter(planned.cell for planned in schedule(2 * len(CELLS), seed=1))
    assert counts == dict.fromkeys(CELLS, 2)
    assert {planned.cell.moment for planned in schedule(3, seed=1, only="mid-text")} == {"mid-text"}
    assert schedule(20, seed=1) == schedule(20, seed=1) != schedule(20, seed=2)


def test_cells_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="victim/moment/provider"):
        schedule(1, seed=1, only="nobody")


def test_the_short_form_has_every_moment_for_the_worker() -> None:
    cells = [planned.cell for planned in short(seed=1)]
    assert [cell.moment for cell in cells if cell.victim == "worker"] == list(MOMENTS)
    assert {cell.victim for cell in cells} == {"worker", "gateway", "Temporal", "all"}


def test_the_table_counts_kills_faults_and_tokens() -> None:
    found = {(row.victim, row.moment): row.figures for row in rows(kills())}
    worker = found["worker", "mid-text"]
    assert (worker["kills"], worker["runs"], worker["faults"]["lost runs"]) == (2, 8, 1)
    assert worker["rebilled"] == {"re-attachable": 0, "not": 1234}
    assert worker["recovery"] == {"p50": 5.0, "p95": pytest.approx(5.18), "n": 3}
    assert found["**together**", "every moment"]["kills"] == 3
    assert found["**together**", "every moment"]["faults"]["lost runs"] == 2
    assert "| worker | mid-text | 2 | 8 | 0 | 0 | 1 | 0 | 0 | 0 | 1,234 | 5.0 s / 5.2 s |" in table(kills())
    assert "7 tokens were charged again" in table(kills())
    assert "nobody was killed: 2." in table(kills())


def test_the_page_keeps_its_text_and_gets_the_table(tmp_path: Path) -> None:
    page = tmp_path / "reliability.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    keep(kills(), ABOUT, page)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\nMeasured on 2026-01-02 in 12 minutes: 2 cores")
    assert text.endswith(f"\n{END}\nafter\n")
    assert "old" not in text


def test_the_figures_name_each_kill() -> None:
    assert len(json.loads(json.dumps(figures(kills(), ABOUT)))["kills"]) == 5
