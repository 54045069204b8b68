import fcntl
import os
from pathlib import Path

import pytest

from longrun.runtime.dev_lock import RunningDev, lock_file, running_dev, write_dev
from longrun.runtime.settings import Settings

DEV = RunningDev(os.getpid(), "http://127.0.0.1:5", "127.0.0.1:6")


@pytest.fixture(autouse=True)
def _of_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LONGRUN_URL", raising=False)


def test_who_runs_over_a_folder_is_found_as_long_as_it_runs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert running_dev(tmp_path) is None
    with lock_file(tmp_path).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_dev(lock, DEV)
        assert running_dev(tmp_path) == DEV
        assert settings.client_url == DEV.api
        assert Settings(home=tmp_path, url="http://elsewhere").client_url == "http://elsewhere"
        write_dev(lock, None)
        assert running_dev(tmp_path) is None
    assert settings.client_url == settings.base_url


def test_a_file_whose_writer_was_killed_counts_as_none(tmp_path: Path) -> None:
    with lock_file(tmp_path).open("a") as lock:
        write_dev(lock, DEV)
    assert running_dev(tmp_path) is None, "its number may be another process's by now"


@pytest.mark.parametrize("written", ["", "1234\n", "{}", '{"pid": "x", "api": "a", "temporal": "t"}', "[1]"])
def test_a_file_that_says_something_else_counts_as_none(written: str, tmp_path: Path) -> None:
    lock_file(tmp_path).write_text(written)
    assert running_dev(tmp_path) is None
