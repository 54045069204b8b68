"""The recorded histories in ``tests/histories``: runs of earlier versions, as Temporal and the log have them.

``<kind>.json`` is a workflow's history as ``temporal workflow show -o json`` prints it; a run that was continued as
new has ``<kind>.2.json`` and so on too. ``<kind>.log.jsonl`` is the run's settled log.
"""

import base64
import getpass
import json
import re
import socket
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import JsonValue
from temporalio.client import WorkflowHistory

FOLDER = Path(__file__).parent / "histories"
RECORDER = "recorder"


def execution_files(kind: str | None = None) -> list[Path]:
    """The files of a kind's histories, oldest execution first, or those of all kinds."""
    found = [path for path in FOLDER.glob("*.json") if kind in (None, kind_of(path))]
    return sorted(found, key=lambda path: (kind_of(path), path.suffixes[:-1]))


def kind_of(path: Path) -> str:
    """The kind of run that a file is of."""
    return path.name.partition(".")[0]


def log_file(kind: str) -> Path:
    """The file of a kind's log."""
    return FOLDER / f"{kind}.log.jsonl"


def load(path: Path) -> WorkflowHistory:
    """A recorded history."""
    recorded = json.loads(path.read_text(encoding="utf-8"))
    started = recorded["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], recorded)


def save(kind: str, executions: Sequence[WorkflowHistory], log: Iterable[str]) -> None:
    """Write a run down in place of what was there; an event a line, so that a change can be read.

    Raises:
        ValueError: It would disclose where it was recorded.
    """
    here = {socket.gethostname(), getpass.getuser(), str(Path.cwd()), str(Path.home()), tempfile.gettempdir()}
    FOLDER.mkdir(exist_ok=True)
    for old in execution_files(kind):
        old.unlink()
    for number, execution in enumerate(executions, 1):
        events = [json.dumps(scrubbed(event)) for event in execution.to_json_dict()["events"]]
        if names := disclosed(events, here):
            raise ValueError(f"{kind} discloses where it was recorded: {', '.join(sorted(names))}")
        name = f"{kind}.json" if number == 1 else f"{kind}.{number}.json"
        (FOLDER / name).write_text('{"events": [\n' + ",\n".join(events) + "\n]}\n", encoding="utf-8")
    log_file(kind).write_text("".join(f"{line}\n" for line in log), encoding="utf-8")


def scrubbed(node: JsonValue) -> JsonValue:
    """Without the names of processes and files; no replay looks at them."""
    if isinstance(node, list):
        return [scrubbed(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: scrubbed(value) for key, value in node.items()}
    kept |= {key: RECORDER for key in ("identity", "buildId", "binaryChecksum") if key in kept}
    if kept.get("kind") == "TASK_QUEUE_KIND_STICKY":
        kept["name"] = RECORDER
    kept.pop("stackTrace", None)
    if isinstance(data := kept.get("data"), str):
        scrubbed_data = re.sub(rb'"worker":"[^"]*"', f'"worker":"{RECORDER}"'.encode(), base64.b64decode(data))
        kept["data"] = base64.b64encode(scrubbed_data).decode()
    return kept


def disclosed(events: Sequence[str], names: Iterable[str] = ()) -> set[str]:
    """The folders that events and their payloads name, and those of ``names`` that they contain."""
    text = "\n".join([*events, *(payload for event in events for payload in payloads(json.loads(event)))])
    paths = r"(?<![\w<])/(?:home|root|tmp|usr|work|Users|var|private|opt|mnt)/[\w.-]+"
    return {name for name in names if re.search(rf"\b{re.escape(name)}\b", text)} | set(re.findall(paths, text))


def payloads(node: JsonValue) -> Iterable[str]:
    """The texts of all payloads."""
    if isinstance(node, list):
        for each in node:
            yield from payloads(each)
    elif isinstance(node, dict):
        if isinstance(data := node.get("data"), str):
            yield base64.b64decode(data).decode()
        for each in node.values():
            yield from payloads(each)
