"""The tools that every worker has."""

from activities.toolbox.clock import wait
from activities.toolbox.definition import Tool
from activities.toolbox.files import list_files, read_file, write_file
from activities.toolbox.http import PublicWeb, http_get_tool
from activities.toolbox.python import run_python
from activities.toolbox.search import search_files


def builtin_tools(*, allow_private_http: bool) -> tuple[Tool, ...]:
    """Our own tools.

    Args:
        allow_private_http: Whether ``http_get`` may reach addresses that are not public.
    """
    web = PublicWeb(allow_private=allow_private_http)
    return (list_files, read_file, search_files, write_file, run_python, http_get_tool(web), wait)
