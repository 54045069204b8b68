"""The tools that every worker has."""

from longrun.activities.toolbox.definition import Tool
from longrun.activities.toolbox.files import list_files, read_file, write_file
from longrun.activities.toolbox.http import PublicWeb, http_get_tool
from longrun.activities.toolbox.python import run_python
from longrun.activities.toolbox.search import search_files


def builtin_tools(*, allow_private_http: bool) -> tuple[Tool, ...]:
    """Our own tools.

    Args:
        allow_private_http: Whether ``http_get`` may reach addresses that are not public.
    """
    web = PublicWeb(allow_private=allow_private_http)
    return (list_files, read_file, search_files, write_file, run_python, http_get_tool(web))
