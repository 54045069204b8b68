"""``make chaos``: kill everything at every moment, many times over, and check what was left of it."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.chaos.driving.matrix import play, schedule
from tests.chaos.driving.rounds import Kill


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=576)
    parser.add_argument("--stacks", type=int, default=6)
    parser.add_argument("--only", default="", help="cells whose name has this in it: victim/moment/provider")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the data and the logs of all processes")
    return parser.parse_args()


def tell(kill: Kill) -> None:
    """A line for each round."""
    recovery = " ".join(f"{seconds:.1f}" for seconds in kill.recovery)
    how = "killed" if kill.killed else "missed"
    said = [f"{how} {kill.cell} at {kill.stop_at}: {kill.runs} runs, {recovery} s, {kill.seconds:.0f} s"]
    said += [f"  FAULT {fault.rule} {fault.run_id}: {fault.detail[:400]}" for fault in kill.faults]
    sys.stdout.write("\n".join(said) + "\n")
    sys.stdout.flush()


def main() -> int:
    asked = options()
    with tempfile.TemporaryDirectory() as folder:
        rounds = schedule(asked.kills, asked.seed, asked.only)
        kills = asyncio.run(play(rounds, asked.keep or Path(folder), asked.stacks, tell))
    return int(any(kill.faults for kill in kills))


if __name__ == "__main__":
    sys.exit(main())
