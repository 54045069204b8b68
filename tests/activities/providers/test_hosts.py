"""Hosts that a settings file names, asked over real sockets."""

import pytest

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.activities.providers.settings import ProviderSettings
from longrun.runtime.hosts import Host, Kind
from tests.activities.providers.asking import ask
from tests.wire import Wire
from tests.wire_answers import Answer, anthropic_stream, chat_stream, message_item, responses_stream, text_block

ANSWERS = {
    "openai": lambda: Answer(responses_stream(message_item("Hi"))),
    "openai-chat": lambda: Answer(chat_stream({"content": "Hi"})),
    "anthropic": lambda: Answer(anthropic_stream(text_block("Hi"))),
}


def catalog_with(server: Wire, kind: Kind, **more: object) -> ProviderCatalog:
    """A catalog whose only host with a key is ``mine``."""
    base_url = server.base_url if kind == "anthropic" else server.openai_url
    host = Host.model_validate({"kind": kind, "base_url": base_url, **more})
    return ProviderCatalog(ProviderSettings(), {"mine": host}, {"MY_KEY": "k-123"})


@pytest.mark.parametrize("kind", ["openai", "openai-chat", "anthropic"])
async def test_key_headers_query_and_extra_body_reach_the_host(server: Wire, kind: Kind) -> None:
    server.play(ANSWERS[kind]())
    more = {"headers": {"x-team": "a"}, "query": {"api-version": "v9"}, "extra_body": {"top_p": 0.5, "seed": 7}}
    catalog = catalog_with(server, kind, api_key_env="MY_KEY", **more)
    answer = await ask(catalog, "mine/some/model:8b")
    await catalog.aclose()
    assert "".join(answer.texts) == "Hi"
    (received,) = server.requests
    assert "k-123" in received.headers.get("authorization", received.headers.get("x-api-key", ""))
    assert received.headers["x-team"] == "a"
    assert received.query == "api-version=v9"
    assert received.body["model"] == "some/model:8b"
    assert (received.body["top_p"], received.body["seed"]) == (0.5, 7)


@pytest.mark.parametrize("kind", ["openai", "openai-chat", "anthropic"])
async def test_a_host_without_a_key_is_asked_and_gets_no_other_hosts_key(
    server: Wire, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "sk-of-another")
    server.play(ANSWERS[kind]())
    catalog = catalog_with(server, kind)
    assert "".join((await ask(catalog, "mine/m")).texts) == "Hi"
    await catalog.aclose()
    assert not [value for value in server.requests[0].headers.values() if "sk-of-another" in value]


async def test_a_key_that_is_not_there_is_named_with_the_section(server: Wire) -> None:
    catalog = catalog_with(server, "openai-chat", api_key_env="NO_SUCH_KEY")
    with pytest.raises(ProviderFailure, match=r"^NO_SUCH_KEY is not set, which holds the key of \[providers.mine\]$"):
        catalog.resolve("mine/m")
    with pytest.raises(ProviderFailure, match=r"with openai, openai-chat, anthropic, scripted, mine$"):
        catalog.resolve("yours/m")
