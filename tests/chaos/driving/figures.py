"""The figures of many kills, as a table and as JSON."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.chaos.checker import report
from tests.chaos.driving.kinds import ProviderKind
from tests.chaos.driving.moments import MOMENTS, VICTIMS
from tests.chaos.driving.rounds import Kill

BEGIN = "<!-- figures -->"
END = "<!-- /figures -->"
_HEAD = (
    "victim",
    "moment",
    "kills",
    "runs",
    "gaps",
    "duplicates",
    "lost runs",
    "double effects",
    "other faults",
    "tokens charged again: re-attachable",
    "not",
    "recovery p50 / p95",
)
_COLUMNS = ("gaps", "duplicates", "lost runs", "double effects")


def share(values: Sequence[float], percent: int) -> float | None:
    """A percentile; ``None`` of nothing."""
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True)
class Row:
    """What came of some kills."""

    victim: str
    moment: str
    kills: tuple[Kill, ...]

    @property
    def faults(self) -> dict[str, int]:
        """How many faults of each column; the rest are ``others``."""
        found = report(fault for kill in self.kills for fault in kill.faults)
        return {**found, "others": found["others"] + found["rebilled"]}

    def rebilled(self, provider: ProviderKind) -> int:
        """Tokens that this kind of provider charged again."""
        return sum(kill.rebilled for kill in self.kills if kill.cell.provider == provider)

    @property
    def recovery(self) -> list[float]:
        """Of all runs that were hit: seconds until their viewers saw something new."""
        return sorted(seconds for kill in self.kills for seconds in kill.recovery)

    @property
    def figures(self) -> dict[str, Any]:
        """The row as JSON."""
        return {
            "victim": self.victim,
            "moment": self.moment,
            "kills": sum(kill.killed for kill in self.kills),
            "runs": sum(kill.runs for kill in self.kills),
            "faults": self.faults,
            "rebilled": {"re-attachable": self.rebilled("re-attachable"), "not": self.rebilled("not")},
            "recovery": {"p50": share(self.recovery, 50), "p95": share(self.recovery, 95), "n": len(self.recovery)},
        }

    @property
    def line(self) -> str:
        """The row as a line of the table."""
        found = self.figures
        faults = self.faults
        cells = [self.victim, self.moment, found["kills"], found["runs"], *(faults[name] for name in _COLUMNS)]
        cells += [faults["others"], f"{self.rebilled('re-attachable'):,}", f"{self.rebilled('not'):,}"]
        cells.append(f"{_seconds(found['recovery']['p50'])} / {_seconds(found['recovery']['p95'])}")
        return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def rows(kills: Iterable[Kill]) -> Iterator[Row]:
    """A row for each victim and moment, and one for all; rounds without a kill are there for their faults."""
    done = [kill for kill in kills if kill.killed or kill.faults]
    for victim in VICTIMS:
        for moment in MOMENTS:
            if found := tuple(kill for kill in done if (kill.cell.victim, kill.cell.moment) == (victim, moment)):
                yield Row(victim, moment, found)
    for victim in VICTIMS:
        if found := tuple(kill for kill in done if kill.cell.victim == victim):
            yield Row(f"**{victim}**", "every moment", found)
    yield Row("**together**", "every moment", tuple(done))


def table(kills: Sequence[Kill]) -> str:
    """The table in Markdown, and what is to be said under it."""
    lines = [f"| {' | '.join(_HEAD)} |", f"|{'---|' * len(_HEAD)}", *(row.line for row in rows(kills))]
    unnamed = {fault.run_id for kill in kills for fault in kill.unnamed}
    tokens = sum(kill.rebilled_unnamed for kill in kills)
    woken = sorted(seconds for kill in kills for seconds in kill.woken)
    missed = sum(not kill.killed for kill in kills)
    hit = sum(kill.runs for kill in kills if kill.killed and kill.cell.provider == "re-attachable")
    lines += [
        "",
        f"Runs that only waited for a person when the kill came: {len(woken)}. Their decisions woke them within"
        f" {_seconds(share(woken, 50))} / {_seconds(share(woken, 95))} (p50 / p95).",
        "",
        "Kills between a request and the first event of its answer, which names it, so that even a re-attachable answer"
        f" cannot be taken up: in {len(unnamed)} of {hit} runs. {tokens:,} tokens were charged again there, and are not"
        " in the table.",
        "",
        f"Rounds that ended before a process reached the failpoint, so that nobody was killed: {missed}. They are not"
        " in the table.",
    ]
    return "\n".join(lines)


def figures(kills: Sequence[Kill], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything as JSON: the rows, each kill, each fault."""
    counts = Counter(fault.rule for kill in kills for fault in kill.faults)
    return {**about, "rows": [row.figures for row in rows(kills)], "faults": counts, "kills": [_of(k) for k in kills]}


def _of(kill: Kill) -> dict[str, Any]:
    return {
        "cell": str(kill.cell),
        "stop_at": kill.stop_at,
        "seed": kill.seed,
        "killed": kill.killed,
        "runs": kill.runs,
        "faults": [[fault.rule, fault.run_id, fault.detail] for fault in kill.faults],
        "unnamed": [[fault.rule, fault.run_id, fault.detail] for fault in kill.unnamed],
        "recovery": [round(seconds, 2) for seconds in kill.recovery],
        "woken": [round(seconds, 2) for seconds in kill.woken],
        "billed": kill.billed,
        "rebilled": kill.rebilled,
        "rebilled_unnamed": kill.rebilled_unnamed,
        "seconds": round(kill.seconds, 1),
    }


def keep(kills: Sequence[Kill], about: Mapping[str, Any], page: Path) -> None:
    """Put the table into the page."""
    before, _, tail = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = tail.partition(END)
    machine = about["machine"]
    measured = (
        f"Measured on {about['date']} in {about['minutes']:.0f} minutes: {machine['cores']} cores, {machine['system']},"
        f" Python {machine['python']}, {machine['temporal']}; {about['stacks']} systems side by side, seed"
        f" {about['seed']}."
    )
    whole = f"{before}{BEGIN}\n{measured}\n\n{table(kills)}\n{END}{after}"
    page.write_text(whole, encoding="utf-8")
