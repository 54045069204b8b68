"""``make chaos``: kill everything at every moment, many times over, and check what was left of the runs."""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from tests.bench.report import machine
from tests.chaos.driving.figures import figures, keep, table
from tests.chaos.driving.matrix import play, schedule, short
from tests.chaos.driving.rounds import Kill
from tests.dev_server import found

_PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=576, help="how many rounds, over all cells evenly")
    parser.add_argument("--short", action="store_true", help="the rounds that are part of the tests")
    parser.add_argument("--only", default="", metavar="CELL", help="cells with this in victim/moment/provider")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stacks", type=int, default=4, help="how many systems work side by side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go too")
    parser.add_argument("--docs", action="store_true", help=f"put the table into {_PAGE.name}")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="a new folder for the data and logs of all processes"
    )
    return parser.parse_args()


def tell(kill: Kill) -> None:
    """A line for each round, and one for each fault."""
    recovery = " ".join(f"{seconds:.1f}" for seconds in kill.recovery) or "no"
    how = "killed" if kill.killed else "missed"
    where = f"{kill.cell} at {kill.stop_at} (seed {kill.seed})"
    said = [f"{how} {where}: {kill.runs} runs, recovered in {recovery} s; {kill.seconds:.0f} s"]
    said += [f"  woken in {' '.join(f'{seconds:.1f}' for seconds in kill.woken)} s"] if kill.woken else []
    said += [f"  FAULT {fault.rule} {fault.run_id}: {fault.detail[:400]}" for fault in kill.faults]
    said += [f"  not named yet: {fault.run_id}: {fault.detail}" for fault in kill.unnamed]
    sys.stdout.write("\n".join(said) + "\n")
    sys.stdout.flush()


async def _temporal() -> str:
    command = (str(found().binary), "--version")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode().strip()


def _about(arguments: argparse.Namespace, began: float) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(asyncio.run(_temporal())),
        "minutes": (monotonic() - began) / 60,
        "seed": arguments.seed,
        "stacks": arguments.stacks,
    }


def main() -> int:
    """Play, print, keep; a fault is a failure."""
    arguments, began = options(), monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rounds = short(arguments.seed) if arguments.short else schedule(arguments.kills, arguments.seed, arguments.only)
    with tempfile.TemporaryDirectory(prefix="longrun-chaos-") as folder:
        try:
            kills = asyncio.run(play(rounds, arguments.keep or Path(folder), arguments.stacks, tell))
        except KeyboardInterrupt:
            return 130
    about = _about(arguments, began)
    sys.stdout.write(f"\n{table(kills)}\n")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures(kills, about), indent=1, ensure_ascii=False), encoding="utf-8")
    if arguments.docs:
        keep(kills, about, _PAGE)
    return int(any(kill.faults for kill in kills))


if __name__ == "__main__":
    sys.exit(main())
