import os
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from longrun.dev.temporal.config import FILE_NAME, SetupError, config_file, read_config

ROOT = Path(__file__).parents[4]
OURS = ROOT / FILE_NAME


def changed(folder: Path, **keys: object) -> Path:
    """Our file with some keys changed, or without those that are ``None``."""
    content = {**yaml.safe_load(OURS.read_text(encoding="utf-8")), **keys}
    path = folder / FILE_NAME
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return path


def test_our_file_is_sound_and_keeps_history_for_thirty_days() -> None:
    config = read_config(OURS)
    assert config.retention == timedelta(days=30)
    assert config.address == "127.0.0.1:7233"
    assert set(config.search_attributes) == {"RunStatus", "AgentName", "ThreadId", "StopReason"}


def test_every_key_of_our_file_is_explained_by_the_comment_above_it() -> None:
    lines = OURS.read_text(encoding="utf-8").splitlines()
    keys = [number for number, line in enumerate(lines) if line and not line.startswith(("#", " "))]
    assert keys
    assert [lines[number] for number in keys if not lines[number - 1].startswith("# ")] == []


def test_a_file_in_the_folder_wins_over_ours(tmp_path: Path) -> None:
    assert config_file(tmp_path) == OURS
    mine = changed(tmp_path, retention="2d")
    assert config_file(tmp_path) == mine
    assert read_config(mine).retention == timedelta(days=2)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"port": "7233"}, "port: Input should be a valid integer"),
        ({"ui_port": 70000}, "ui_port: Input should be less than or equal to 65535"),
        ({"ip": None}, "ip: Field required"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"retention": "a while"}, "retention: must be a whole number of hours or days"),
        ({"retention": "0h"}, "retention: Input should be greater than or equal to 1 hour"),
        ({"search_attributes": {"RunStatus": "keyword"}}, "search_attributes.RunStatus: Input should be 'Text'"),
        ({"dynamic_config": {"a.b": [1]}}, r"dynamic_config\.a\.b: "),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, keys: dict[str, object], complaint: str) -> None:
    path = changed(tmp_path, **keys)
    with pytest.raises(SetupError, match=complaint) as refused:
        read_config(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_file_that_is_no_mapping_or_no_yaml_or_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with pytest.raises(SetupError, match="cannot be read"):
        read_config(path)
    path.write_text("just a word")
    with pytest.raises(SetupError, match=r"\(the whole file\)"):
        read_config(path)
    path.write_text("a: [")
    with pytest.raises(SetupError, match="is not YAML"):
        read_config(path)


def test_the_command_line_carries_each_key(tmp_path: Path) -> None:
    command = read_config(OURS).command(Path("/bin/temporal"), tmp_path, namespace="mine")
    line = " ".join(command)

    assert command[:3] == ["/bin/temporal", "server", "start-dev"]
    assert "--ip 127.0.0.1 --port 7233 --namespace mine --ui-port 8233" in line
    assert f"--db-filename {tmp_path / 'temporal.db'} --log-level error" in line
    assert "--sqlite-pragma journal_mode=WAL" in line
    assert "--dynamic-config-value history.transferProcessorMaxPollRPS=2000" in line
    assert "--search-attribute RunStatus=Keyword" in line
    assert "--headless" in read_config(OURS).command(Path("/bin/temporal"), tmp_path, headless=True)


def test_a_wheel_finds_the_file_that_it_carries(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - our own command
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = "from pathlib import Path; from longrun.dev.temporal.config import config_file; print(config_file(Path()))"
    environ = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=tmp_path, env=environ, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    assert found.stdout.strip() == str(installed / "longrun" / FILE_NAME)
    assert (installed / "longrun" / FILE_NAME).read_bytes() == OURS.read_bytes()
