"""The settings of the model providers."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_OPENAI = "https://api.openai.com/v1"


class ProviderSettings(BaseSettings):
    """``OPENAI_*``, ``ANTHROPIC_*`` and ``LONGRUN_*`` from the environment, then from ``.env``.

    ``longrun_scripts`` is the folder of scripts for ``scripted/NAME``, searched before the shipped ones;
    ``longrun_model_read_timeout`` the seconds that a model may be silent in the middle of an answer.
    ``longrun_openai_background`` says whether ``openai/NAME`` runs in background mode, so that an answer can be resumed
    after a crash; by default it does where the host is OpenAI's own, because few others implement it.
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    openai_api_key: SecretStr | None = None
    openai_base_url: str = _OPENAI
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str = "https://api.anthropic.com"
    longrun_scripts: Path | None = None
    longrun_openai_background: bool | None = None
    longrun_model_read_timeout: float = Field(default=600.0, gt=0)

    @property
    def openai_background(self) -> bool:
        """Whether ``openai/NAME`` runs in background mode."""
        wanted = self.longrun_openai_background
        return self.openai_base_url.rstrip("/") == _OPENAI if wanted is None else wanted
