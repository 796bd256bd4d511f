"""Settings, read once from the environment (and `.env`) when the service starts."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What all settings have in common: an empty variable is one that is not set."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # a URL holds a password
        populate_by_name=True,
        str_strip_whitespace=True,  # a file of secrets ends with a new line
    )


class Settings(ServiceSettings):
    """The service's settings; each field is an environment variable of the same name.

    Raises:
        pydantic.ValidationError: when a variable holds a value that its field refuses.
    """

    # In development a request can be profiled: never where others can reach the service.
    environment: Literal["production", "development"] = "production"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    # Seconds between the signal to stop and stopping, in which readiness fails.
    drain_seconds: float = Field(default=0, ge=0, allow_inf_nan=False)
