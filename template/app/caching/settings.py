"""The limits of the cache."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from app.settings import ServiceSettings


class CacheSettings(ServiceSettings):
    """Each is an environment variable of the same name that begins with CACHE_."""

    model_config = SettingsConfigDict(env_prefix="CACHE_")

    max_entry_bytes: int = Field(default=1_048_576, ge=0)  # a larger answer is not kept
    # Seconds that one may take to make an entry; then those that wait for it ask by themselves.
    fill_seconds: float = Field(default=2.0, gt=0, allow_inf_nan=False)
