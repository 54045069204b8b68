"""The file that names hosts of models: what is wrong in it is one line with the file, the section and the field."""

import re
from pathlib import Path

import pytest

from longrun.runtime.hosts import Host, HostsError, load_hosts

GOOD = """
[providers.azure]
kind = "openai"
base_url = "https://example.openai.azure.com/openai/v1"
api_key_env = "AZURE_OPENAI_API_KEY"
headers = { x-team = "a" }
query = { api-version = "preview" }
extra_body = { service_tier = "flex", provider = { order = ["a"] } }
background = true

[providers.ollama]
kind = "openai-chat"
base_url = "http://localhost:11434/v1"
"""


def test_hosts_are_read_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_hosts(None) == {}
    (tmp_path / "longrun.toml").write_text(GOOD)
    hosts = load_hosts(None)
    assert hosts["ollama"] == Host(kind="openai-chat", base_url="http://localhost:11434/v1")
    assert hosts["azure"].extra_body == {"service_tier": "flex", "provider": {"order": ["a"]}}
    assert load_hosts(tmp_path / "longrun.toml") == hosts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind", "is not TOML: "),
        ("[server]", "there is no section [server]; there is [providers.NAME]"),
        ("providers = 1", "providers: has to be sections [providers.NAME]"),
        ("[providers.Big]", "[providers.Big]: a name is of the characters a-z 0-9 - _"),
        ("[providers.openai]", "[providers.openai]: openai is the name of a provider that is there without a file"),
        ("[providers.x]\nkind = 'openai'", "[providers.x] base_url: is missing"),
        (
            "[providers.x]\nkind = 'cohere'\nbase_url = 'http://x'",
            "[providers.x] kind: Input should be 'openai', 'open",
        ),
        ("[providers.x]\nkind = 'openai'\nbase_url = 'x:80'", "[providers.x] base_url: has to begin with"),
        (
            "[providers.x]\nkind = 'openai'\nbase_url = 'http://x'\nkey = 'K'",
            "[providers.x] key: is no field;",
        ),
        (
            "[providers.x]\nkind = 'openai'\nbase_url = 'http://x'\napi_key_env = 'sk-secret'",
            "[providers.x] api_key_env: is not the name of an environment variable",
        ),
        (
            "[providers.x]\nkind = 'openai'\nbase_url = 'http://x'\nheaders = { a = 1 }",
            "[providers.x] headers.a: Input should be a valid string",
        ),
    ],
)
def test_a_wrong_file_is_named_with_section_and_field(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    with pytest.raises(HostsError, match=f"^{re.escape(str(path))}: {re.escape(message)}") as refused:
        load_hosts(path)
    assert "\n" not in str(refused.value)
    assert "sk-secret" not in str(refused.value)


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(HostsError, match=r"none\.toml: cannot be read: No such file"):
        load_hosts(tmp_path / "none.toml")
