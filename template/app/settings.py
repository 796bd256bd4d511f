"""Settings, read once from the environment (and `.env`) when the service starts."""

from typing import Literal

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The service's settings; each field is an environment variable of the same name.

    Raises:
        pydantic.ValidationError: when a variable holds a value that its field refuses.
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    environment: Literal["development", "production"] = "development"
    database_url: str = "sqlite+aiosqlite:///data.db"
    database_read_pool: int = 4  # connections kept open for reads
    database_timeout: float = 5.0  # seconds to wait for a connection or a lock
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"

    @field_validator("database_url")
    @classmethod
    def _names_the_driver(cls, url: str) -> str:
        if not url.startswith("sqlite+aiosqlite:///"):
            raise ValueError("must begin with sqlite+aiosqlite:///, then the path of the file")
        return url
