"""What the model providers must know of their surroundings."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProviderSettings(BaseSettings):
    """``OPENAI_*``, ``ANTHROPIC_*`` and ``LONGRUN_*`` from the environment, then from ``.env``.

    ``longrun_scripts`` is the folder of scripts for ``scripted/NAME``, looked into before those that are shipped;
    ``longrun_model_read_timeout`` the seconds that a model may be silent in the middle of an answer.
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    openai_api_key: SecretStr | None = None
    openai_base_url: str = "https://api.openai.com/v1"
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str = "https://api.anthropic.com"
    longrun_scripts: Path | None = None
    longrun_model_read_timeout: float = Field(default=600.0, gt=0)
