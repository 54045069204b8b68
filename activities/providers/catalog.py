"""From ``provider/name`` to the provider."""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import SecretStr

from longrun.activities.failures import ProviderFailure
from longrun.activities.providers.anthropic import Anthropic
from longrun.activities.providers.openai_chat import OpenAIChat
from longrun.activities.providers.openai_responses import OpenAIResponses
from longrun.activities.providers.provider import Provider
from longrun.activities.providers.scripted import Scripted
from longrun.activities.providers.settings import ProviderSettings
from longrun.runtime.hosts import Host

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

SHIPPED = Path(__file__).parent / "scripts"
_CONNECT_TIMEOUT = 5.0
_SEND_TIMEOUT = 60.0
_NO_KEY = "none"


_CONNECTIONS = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
"""A call keeps a connection for as long as it is in flight: at the SDKs' own limit the 1,001st waits in silence."""


def _openai_client(**options: Any) -> "AsyncOpenAI":  # noqa: ANN401 - the SDK's own
    """A client of OpenAI's SDK, which takes a second to load."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # noqa: PLC0415

    return AsyncOpenAI(max_retries=0, http_client=DefaultAsyncHttpxClient(limits=_CONNECTIONS), **options)


def _anthropic_client(**options: Any) -> "AsyncAnthropic":  # noqa: ANN401 - the SDK's own
    """A client of Anthropic's SDK, which takes seconds to load."""
    from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient  # noqa: PLC0415

    return AsyncAnthropic(max_retries=0, http_client=DefaultAsyncHttpxClient(limits=_CONNECTIONS), **options)


class ProviderCatalog:
    """All providers of a process. An SDK's client is made when it is first needed, and shared.

    Args:
        settings: The providers that there are without a file.
        hosts: Those of the settings file, by name.
        environ: Where the keys of these are.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        hosts: Mapping[str, Host] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._makers: dict[str, Callable[[], Provider]] = {
            "openai": lambda: OpenAIResponses(self._openai, background=settings.openai_background),
            "openai-chat": lambda: OpenAIChat(self._openai),
            "anthropic": lambda: Anthropic(self._anthropic),
            "scripted": lambda: Scripted(settings.longrun_scripts, SHIPPED),
            **{name: partial(self._of_host, name, host) for name, host in (hosts or {}).items()},
        }
        self._made: dict[str, Provider] = {}
        self._making = threading.Lock()

    def resolve(self, model: str) -> tuple[Provider, str]:
        """The provider of a model, and the model's name without it.

        Raises:
            ProviderFailure: There is no such provider, or its API key is missing.
        """
        provider, _, name = model.partition("/")
        if provider not in self._makers or not name:
            known = ", ".join(self._makers)
            raise ProviderFailure("fatal", f"{model!r} names no model: it must be provider/name, with {known}")
        if provider not in self._made:
            with self._making:
                if provider not in self._made:
                    self._made[provider] = self._makers[provider]()
        return self._made[provider], name

    async def load(self, model: str) -> tuple[Provider, str]:
        """``resolve``, off the event loop where it takes its time: the first time that a provider is needed.

        Raises:
            ProviderFailure: As of ``resolve``.
        """
        if model.partition("/")[0] not in self._made:
            return await asyncio.to_thread(self.resolve, model)
        return self.resolve(model)

    async def aclose(self) -> None:
        """Close the clients."""
        made, self._made = self._made, {}
        for provider in made.values():
            await provider.aclose()

    def _of_host(self, name: str, host: Host) -> Provider:
        options: dict[str, Any] = {
            "api_key": self._key_of(name, host),
            "base_url": host.base_url,
            "default_headers": dict(host.headers),
            "default_query": dict(host.query),
            "timeout": self._timeout,
        }
        if host.kind == "anthropic":
            return Anthropic(_anthropic_client(**options), name, host.extra_body)
        speaker = _openai_client(**options)
        if host.kind == "openai":
            return OpenAIResponses(speaker, name, host.extra_body, background=host.background)
        return OpenAIChat(speaker, name, host.extra_body)

    def _key_of(self, name: str, host: Host) -> str:
        if host.api_key_env is None:
            return _NO_KEY
        if key := self._environ.get(host.api_key_env):
            return key
        raise ProviderFailure("fatal", f"{host.api_key_env} is not set, which holds the key of [providers.{name}]")

    @cached_property
    def _openai(self) -> "AsyncOpenAI":
        settings = self._settings
        return _openai_client(
            api_key=self._key("OPENAI", settings.openai_api_key, "openai_base_url"),
            base_url=settings.openai_base_url,
            timeout=self._timeout,
        )

    @cached_property
    def _anthropic(self) -> "AsyncAnthropic":
        settings = self._settings
        return _anthropic_client(
            api_key=self._key("ANTHROPIC", settings.anthropic_api_key, "anthropic_base_url"),
            base_url=settings.anthropic_base_url,
            timeout=self._timeout,
        )

    @property
    def _timeout(self) -> httpx2.Timeout:
        read = self._settings.longrun_model_read_timeout
        return httpx2.Timeout(connect=_CONNECT_TIMEOUT, read=read, write=_SEND_TIMEOUT, pool=read)

    def _key(self, provider: str, key: SecretStr | None, base_url: str) -> str:
        """The API key. A host other than the default, such as a local model server, may need none."""
        if key is not None:
            return key.get_secret_value()
        default: object = ProviderSettings.model_fields[base_url].default
        if getattr(self._settings, base_url) != default:
            return _NO_KEY
        raise ProviderFailure("fatal", f"{provider}_API_KEY is not set")
