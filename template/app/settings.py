"""Settings, read once from the environment (and `.env`) when the service starts."""

from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The service's settings; each field is an environment variable of the same name.

    Raises:
        pydantic.ValidationError: when a variable holds a value that its field refuses.
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
