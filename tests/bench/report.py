"""The figures as a table, and the files that keep them."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

BEGIN = "<!-- figures -->"
END = "<!-- /figures -->"
_SOME_CALLS = 200

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A line of the table: what, ours, what it is held against, how they compare, what is wanted."""

    what: str
    ours: str
    other: str = ""
    compared: str = ""
    target: str = ""


def machine(temporal: str) -> dict[str, Any]:
    """What a reader must know of the machine to judge the figures."""
    names = ("temporalio", "openai", "starlette", "uvicorn", "sqlalchemy")
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "temporal": temporal,
        "packages": {name: version(name) for name in names},
    }


def rows(figures: Figures) -> list[Row]:
    """The lines for whatever was measured."""
    makers = {
        "throughput": _throughput,
        "first_token": _first_token,
        "token_delay": _token_delay,
        "viewers": _viewers,
        "resume": _resume,
        "in_flight": _in_flight,
        "startup": _startup,
        "recovery": _recovery,
        "takeover": _takeover,
        "waiting": _waiting,
    }
    return [row for name, make in makers.items() if name in figures for row in make(figures[name])]


def _throughput(found: Figures) -> Iterator[Row]:
    for concurrency, each in found.items():
        ours, bare = each["longrun"], each["bare"]
        yield Row(
            f"runs per second, {concurrency} at a time",
            f"{ours['runs_per_second']:.1f}",
            f"{bare['runs_per_second']:.1f} (bare)",
            f"{each['ratio']:.0%}",
            "≥ 60 %" if concurrency != "1" else "",
        )
        yield Row(
            f"CPU per run, {concurrency} at a time",
            f"{ours['cpu_ms']['total']:.1f} ms ({_split(ours['cpu_ms'])})",
            f"{bare['cpu_ms']['total']:.1f} ms ({_split(bare['cpu_ms'])})",
            f"{each['cpu_ms_added']:+.1f} ms",
            "≤ +25 ms",
        )


def _split(cpu: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in cpu.items() if name not in ("total", "client"))


def _first_token(found: Figures) -> Iterator[Row]:
    ours, sdk = found["longrun"], found["sdk"]
    for share, target in (("p50", "≤ +60 ms"), ("p95", "")):
        yield Row(
            f"first token, {share}",
            f"{ours['whole'][share]:.1f} ms",
            f"{sdk['whole'][share]:.1f} ms (SDK)",
            f"{found['added_ms'][share]:+.1f} ms",
            target,
        )
    yield Row(
        "of it: request to provider, p50",
        f"{ours['to_provider']['p50']:.1f} ms",
        f"{sdk['to_provider']['p50']:.1f} ms (SDK)",
    )
    yield Row(
        "of it: provider to client, p50",
        f"{ours['to_client']['p50']:.1f} ms",
        f"{sdk['to_client']['p50']:.1f} ms (SDK)",
    )


def _token_delay(found: Figures) -> Iterator[Row]:
    targets = {"1": "p50 ≤ 5 ms", "50": "p50 ≤ 40 ms"}
    for streams, each in found.items():
        runs = "one run" if streams == "1" else f"{streams} runs at once"
        yield Row(
            f"token delay, {runs} of 50 tokens/s, p50 / p95 / p99",
            _shares(each["longrun"]),
            f"{_shares(each['sdk'])} (SDK)",
            f"{each['longrun']['p50'] - each['sdk']['p50']:+.1f} ms",
            targets.get(streams, ""),
        )


def _shares(delays: Mapping[str, float]) -> str:
    return f"{delays['p50']:.1f} / {delays['p95']:.1f} / {delays['p99']:.1f} ms"


def _viewers(found: Figures) -> Iterator[Row]:
    watched = f"{found['viewers']} viewers of one run of {found['events']} events"
    lost = f"{found['events_lost']} lost, {found['viewers_with_the_whole_log']} have the whole log"
    yield Row(f"{watched}: events lost", lost, target="0, all")
    yield Row("their token delay, p50 / p95 / p99", _shares(found["delays"]))
    yield Row("gateway CPU per frame", f"{found['gateway_cpu_us_per_frame']:.1f} µs")


def _resume(found: list[Figures]) -> Iterator[Row]:
    for each in found:
        largest = each["events"] == max(one["events"] for one in found) and each["after"] == 0
        yield Row(
            f"a finished run of {each['events']:,} events read after seq {each['after']:,}: first / last byte",
            f"{each['first_byte_ms']:.1f} / {each['last_byte_ms']:.1f} ms",
            target="≤ 10 / ≤ 150 ms for 5,000" if largest else "",
        )


def _in_flight(found: list[Figures]) -> Iterator[Row]:
    for each in found:
        cores = ", ".join(f"{name} {value:.3f}" for name, value in each["cores"].items() if name != "total")
        what = f"{each['calls']:,} calls in flight that say nothing"
        target = "≤ 0.1" if each["calls"] <= _SOME_CALLS else ""
        yield Row(f"{what}: cores", f"{each['cores']['total']:.3f} ({cores})", target=target)
        if "mb_per_call" in each:
            kept = ", ".join(f"{name} {value:.2f}" for name, value in each["mb_per_call"].items())
            memory = f"{sum(each['mb_per_call'].values()):.2f} MB ({kept}); {each['idle_mb']:.0f} MB without them"
            yield Row(f"{what}: memory of one", memory, target="≤ 0.1 MB")


def _startup(found: Figures) -> Iterator[Row]:
    yield Row("`longrun --help`", f"{found['help_s']:.2f} s", target="≤ 0.35 s")
    yield Row("a worker, from its start until it is ready", f"{found['ready_s']:.1f} s")
    yield Row("from there to the first token of the first run", f"{found['first_token_s']:.2f} s", target="≤ 1 s")
    yield Row("its CPU by then", f"{found['worker_cpu_s']:.1f} s", target="≤ 2 s")


def _recovery(found: Figures) -> Iterator[Row]:
    times = f"{found['p50'] / 1000:.1f} / {found['max'] / 1000:.1f} s"
    yield Row(f"the only worker killed and started again, {found['kills']} times: new text after, p50 / max", times)


def _takeover(found: Figures) -> Iterator[Row]:
    what = f"{found['calls']:,} calls in flight for {found['seconds']:.0f} s"
    cores = ", ".join(f"{name} {value:.2f}" for name, value in found["cores"].items() if name != "total")
    yield Row(f"{what}: cores", f"{found['cores']['total']:.2f} ({cores})", target="temporal ≤ 0.3")
    times = found["taken_over_s"]
    yield Row(
        f"one of two workers killed, {found['lost']:,} calls taken over: p50 / p95 / last",
        f"{times['p50']:.1f} / {times['p95']:.1f} / {times['p100']:.1f} s",
        target="p95 ≤ 6 s",
    )
    whole = f"{found['streams_whole']} of {found['streams']} streams, {found['completed']:,} of {found['calls']:,} runs"
    yield Row("of it: whole at the end", whole, target="all")
    yield Row("of it: calls of the other worker that were asked again", str(found["others_asked_again"]), target="0")


def _waiting(found: Figures) -> Iterator[Row]:
    what = f"{found['runs']:,} runs that wait for approval"
    kept = ", ".join(f"{name} {value:.0f}" for name, value in found["kb_per_run"].items())
    memory = f"{sum(found['kb_per_run'].values()):.0f} kB ({kept})"
    yield Row(f"{what}: memory of one", memory, target="≤ 60 kB")
    cores = ", ".join(f"{name} {value:.3f}" for name, value in found["cores"].items() if name != "total")
    without = f"{found['cores_before']['total']:.3f} (without them)"
    yield Row(f"{what}: cores", f"{found['cores']['total']:.3f} ({cores})", without)
    for when, key in (
        ("", "decided_s"),
        (", all processes killed and started again before", "decided_after_restart_s"),
    ):
        times = f"{found[key]['p50']:.2f} / {found[key]['max']:.2f} s"
        yield Row(
            f"of them decided, one after the other{when}: the tool starts after, p50 / max", times, target="≤ 1 s"
        )


def table(figures: Figures) -> str:
    """The figures in Markdown."""
    head = ["| what | longrun | held against | compared | target |", "|---|---|---|---|---|"]
    lines = [f"| {row.what} | {row.ours} | {row.other} | {row.compared} | {row.target} |" for row in rows(figures)]
    return "\n".join([*head, *lines])


def spliced(page: str, figures: Figures) -> str:
    """A page with the text between its marks replaced."""
    before, _, tail = page.partition(BEGIN)
    _, _, after = tail.partition(END)
    found = figures["machine"]
    where = (
        f"Measured on {figures['date']}: {found['cores']} cores, {found['system']}, Python {found['python']}, "
        f"{found['temporal']}, temporalio {found['packages']['temporalio']}."
    )
    return f"{before}{BEGIN}\n{where}\n\n{table(figures)}\n{END}{after}"


def keep(figures: Figures, folder: Path) -> None:
    """Write the figures and put their table into the page."""
    (folder / "performance.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    page = folder / "performance.md"
    page.write_text(spliced(page.read_text(encoding="utf-8"), figures), encoding="utf-8")
