"""Settings, read once from the environment (and `.env`) when the service starts."""

from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The service's settings; each field is an environment variable of the same name.

    Raises:
        pydantic.ValidationError: when a variable holds a value that its field refuses.
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    database_url: str = "sqlite+aiosqlite:///data.db"
    database_read_pool: int = Field(default=4, ge=1)  # connections kept open for reads
    # Seconds to wait for a connection, or for another process's lock.
    database_timeout: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"

    @field_validator("database_url")
    @classmethod
    def _names_the_driver(cls, url: str) -> str:
        _, driver, path = url.partition("sqlite+aiosqlite:///")
        if not driver or path.partition("?")[0] in ("", ":memory:"):
            raise ValueError("must be sqlite+aiosqlite:/// and the path of a file")
        return url
