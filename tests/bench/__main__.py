"""``make bench``: longrun next to a bare Temporal workflow, in one run on one machine."""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from longrun.dev.temporal.config import SetupError
from longrun.dev.temporal.find import TemporalFinder
from tests.bench.measures import FULL, MEASURES, QUICK, Scale, warm_up
from tests.bench.report import keep, machine, table
from tests.bench.system import ROOT, BenchError, environment, running


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs and rounds; docs/ is left as it is")
    parser.add_argument("--only", choices=MEASURES, help="one measure; docs/ is left as it is")
    parser.add_argument("--date", help="the date that docs/ will name, by default today's")
    return parser.parse_args()


async def measure(names: list[str], scale: Scale) -> dict[str, Any]:
    """Start everything, measure, end everything."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="longrun-bench-") as home:
        async with running(Path(home)) as system:
            await warm_up(system)
            for name in names:
                _say(f"measuring {name} …")
                figures[name] = await MEASURES[name](system, scale)
    return figures


async def _version() -> str:
    found = await TemporalFinder(environment(os.environ, {}), _say).find()
    done = await asyncio.to_thread(
        subprocess.run, [str(found.binary), "--version"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


async def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure what was asked for."""
    temporal = await _version()
    measured = await measure([arguments.only] if arguments.only else list(MEASURES), QUICK if arguments.quick else FULL)
    date = arguments.date or datetime.now(UTC).date().isoformat()
    return {"date": date, "quick": arguments.quick, "machine": machine(temporal), **measured}


def main() -> int:
    """Measure, print, keep. The figures decide nothing: only a broken run is a failure."""
    arguments = options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        figures = asyncio.run(bench(arguments))
    except (BenchError, SetupError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"{table(figures)}\n")
    if not (arguments.quick or arguments.only):
        keep(figures, ROOT / "docs")
        _say("kept in docs/performance.json and docs/performance.md")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
