"""From a model's name to its provider: what is wrong with a name or a setting is said before anybody is asked."""

import pytest
from pydantic import SecretStr, ValidationError

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.anthropic import Anthropic
from longrun.activities.providers.catalog import ProviderCatalog
from longrun.activities.providers.openai_chat import OpenAIChat
from longrun.activities.providers.openai_responses import OpenAIResponses
from longrun.activities.providers.provider import Provider
from longrun.activities.providers.scripted import Scripted
from longrun.activities.providers.settings import ProviderSettings
from tests.activities.providers.asking import ask
from tests.wire import Wire
from tests.wire_answers import Answer, anthropic_stream, chat_stream, text_block

DEFAULTS = {name: ProviderSettings.model_fields[name].default for name in ("openai_base_url", "anthropic_base_url")}


@pytest.mark.parametrize(
    ("model", "kind", "name"),
    [
        ("openai/gpt-test", OpenAIResponses, "gpt-test"),
        ("openai-chat/meta/llama:8b", OpenAIChat, "meta/llama:8b"),
        ("anthropic/claude-test", Anthropic, "claude-test"),
        ("scripted/echo", Scripted, "echo"),
    ],
)
async def test_a_model_is_found_by_its_providers_name(
    catalog: ProviderCatalog, model: str, kind: type[Provider], name: str
) -> None:
    provider, resolved = catalog.resolve(model)
    assert isinstance(provider, kind)
    assert resolved == name
    assert catalog.resolve(model)[0] is provider


@pytest.mark.parametrize("model", ["gpt-test", "", "/", "openai/", "/gpt-test", "opnai/gpt-test", "OpenAI/gpt-test"])
async def test_a_name_that_is_no_models_is_told_with_the_providers_there_are(
    catalog: ProviderCatalog, model: str
) -> None:
    with pytest.raises(ProviderFailure) as failed:
        catalog.resolve(model)
    assert failed.value.kind == "fatal"
    assert str(failed.value).startswith(f"{model!r} names no model")
    assert str(failed.value).endswith("openai, openai-chat, anthropic, scripted")


@pytest.mark.parametrize(
    ("model", "variable"),
    [("openai/x", "OPENAI"), ("openai-chat/x", "OPENAI"), ("anthropic/x", "ANTHROPIC")],
)
async def test_a_key_that_is_missing_is_named(model: str, variable: str) -> None:
    catalog = ProviderCatalog(ProviderSettings.model_validate(DEFAULTS))
    with pytest.raises(ProviderFailure, match=f"^{variable}_API_KEY is not set$") as failed:
        catalog.resolve(model)
    assert failed.value.kind == "fatal"
    assert isinstance(catalog.resolve("scripted/echo")[0], Scripted)
    await catalog.aclose()


async def test_a_host_of_ones_own_needs_no_key(server: Wire) -> None:
    server.play(Answer(chat_stream({"content": "Hi"})), Answer(anthropic_stream(text_block("Hi"))))
    settings = ProviderSettings(openai_base_url=server.openai_url, anthropic_base_url=server.base_url)
    catalog = ProviderCatalog(settings)
    assert (await ask(catalog, "openai-chat/local")).texts == ["Hi"]
    assert (await ask(catalog, "anthropic/local")).texts == ["Hi"]
    await catalog.aclose()


def test_an_empty_variable_is_a_missing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant")
    settings = ProviderSettings()
    assert settings.openai_api_key is None
    assert settings.anthropic_api_key == SecretStr("sk-ant")
    assert "sk-ant" not in repr(settings)


@pytest.mark.parametrize("seconds", ["0", "-1", "soon"])
def test_a_read_timeout_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("LONGRUN_MODEL_READ_TIMEOUT", seconds)
    with pytest.raises(ValidationError, match="longrun_model_read_timeout"):
        ProviderSettings()
