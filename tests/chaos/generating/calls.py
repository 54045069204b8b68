"""The calls that the provider has accepted, those that it refused, and the bill."""

import uuid

from tests import pairing
from tests.chaos.generating.chat import chat_script
from tests.chaos.generating.controls import Controls
from tests.chaos.generating.job import Entry, Job
from tests.chaos.generating.plan import Body, NoPlanError, Wire, answer
from tests.chaos.generating.responses import response_object, responses_script

_PATHS: dict[Wire, str] = {"responses": "/responses", "chat": "/completions"}
_SCRIPTS = {"responses": responses_script, "chat": chat_script}
_NAMES: dict[Wire, str] = {"responses": "resp", "chat": "chatcmpl"}


class RefusedError(Exception):
    """A request is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Calls:
    """Everything that the provider remembers."""

    def __init__(self) -> None:
        self.controls = Controls()
        self.violations: list[dict[str, str]] = []
        self._jobs: dict[str, Job] = {}

    def accept(self, wire: Wire, body: Body) -> Job:
        """Begin to generate the answer to a request.

        Raises:
            RefusedError: It breaks a rule of its wire.
        """
        background = bool(body.get("background"))
        if not body.get("stream"):
            raise RefusedError(400, "Only streams are served: 'stream' must be true.")
        if background and not body.get("store", True):
            raise RefusedError(400, "Background mode requires 'store' to be true.")
        try:
            said = answer(wire, body)
        except NoPlanError as error:
            raise RefusedError(400, str(error)) from error
        self._check(wire, body, said.label)
        own_id = f"{_NAMES[wire]}_{uuid.uuid4().hex}"
        entry = Entry(
            id=own_id,
            wire=wire,
            background=background,
            label=said.label,
            turn=said.turn,
            tokens_in=said.tokens_in,
            tokens_out=0,
            status="running",
            streams=0,
            polls=0,
            held=False,
            violations=[],
        )
        self._jobs[own_id] = Job(entry, said, _SCRIPTS[wire](said, body, own_id), body, self.controls)
        return self._jobs[own_id]

    def find(self, own_id: str) -> Job:
        """A job by its id.

        Raises:
            RefusedError: It was not stored, or is forgotten.
        """
        job = self._jobs.get(own_id)
        stored = job is not None and job.entry["wire"] == "responses" and job.body.get("store", True)
        if job is None or not stored or self.controls.forget:
            raise RefusedError(404, f"Response with id '{own_id}' not found.")
        return job

    def resume(self, own_id: str) -> Job:
        """A job whose stream is to be read again.

        Raises:
            RefusedError: It is unknown, runs in the foreground, or is too old by the present rule.
        """
        job = self.find(own_id)
        limit = self.controls.refuse_streams_older_than
        if not job.entry["background"]:
            raise RefusedError(400, "Only responses created with background=true can be streamed again.")
        if limit is not None and job.age >= limit:
            raise RefusedError(
                400, f"Response with id '{own_id}' was created more than 5 minutes old and can no longer be streamed."
            )
        return job

    def bill(self, label: str | None) -> list[Entry]:
        """A line for each accepted call, or each of a label, in the order in which they came."""
        broken: dict[str, list[str]] = {}
        for violation in self.violations:
            broken.setdefault(violation["label"], []).append(violation["rule"])
        entries = [job.entry for job in self._jobs.values() if label in (None, job.entry["label"])]
        return [{**entry, "violations": broken.get(entry["label"], [])} for entry in entries]

    def _check(self, wire: Wire, body: Body, label: str) -> None:
        try:
            pairing.check(_PATHS[wire], body)
        except AssertionError as broken:
            self.violations.append({"label": label, "wire": wire, "rule": str(broken)})
            raise RefusedError(400, str(broken)) from broken


def response_of(job: Job) -> dict[str, object]:
    """The response object of a job as it stands."""
    status = {"running": "queued" if job.waits else "in_progress", "abandoned": "cancelled"}
    now = job.entry["status"]
    output = job.script.output if now == "completed" else ()
    return response_object(job.answer, job.body, job.entry["id"], status.get(now, now), output)
