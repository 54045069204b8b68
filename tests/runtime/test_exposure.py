"""A gateway that other machines can reach needs a key, or its operator's word that it needs none."""

import sys
from pathlib import Path

import pytest

from longrun.cli.main import main
from longrun.runtime.exposure import ExposedError, refuse_exposed
from longrun.runtime.settings import Settings

ANYWHERE = "0.0.0.0"  # noqa: S104 - to see it refused


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "::ffff:127.0.0.1"])
def test_this_machine_alone_needs_no_key(host: str) -> None:
    refuse_exposed(Settings(host=host))


@pytest.mark.parametrize(
    "host", [ANYWHERE, "::", "", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "no.such.name.invalid"]
)
def test_other_machines_need_a_key_or_the_operators_word(host: str) -> None:
    with pytest.raises(ExposedError, match="set LONGRUN_API_KEY, or LONGRUN_INSECURE=1"):
        refuse_exposed(Settings(host=host))
    refuse_exposed(Settings.model_validate({"host": host, "api_key": "k"}))
    refuse_exposed(Settings(host=host, insecure=True))


@pytest.mark.parametrize("command", [["gateway"], ["dev", "--port", "0"], ["dev", "--host", ANYWHERE]])
def test_the_command_line_says_so_in_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["longrun", *command])
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    if "--host" not in command:
        monkeypatch.setenv("LONGRUN_HOST", ANYWHERE)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "longrun: 0.0.0.0 can be reached from other machines, and there is no key: set LONGRUN_API_KEY"
    )
