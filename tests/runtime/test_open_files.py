"""Each process that holds sockets for others may have as many as the system lets it."""

import subprocess
import sys

import pytest

from longrun.runtime.open_files import MOST

LIMITED = """
import resource
from longrun.runtime.open_files import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
raise_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(256, 2000, 2000), (2000, 2000, 2000), (256, 19_999, min(19_999, MOST))]
)
def test_the_limit_is_raised_to_what_the_system_allows(soft: int, hard: int, then: int) -> None:
    code = LIMITED.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split() == [str(then), str(hard)]
