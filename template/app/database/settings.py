"""What any database needs to know."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from app.settings import ServiceSettings


class PoolSettings(ServiceSettings):
    """The pools and what a request may wait for them."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    read_pool: int = Field(default=10, ge=1)  # connections of the read road
    # Seconds to wait for a connection, whether for one that is free or for a new one.
    timeout: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    queue: int = Field(default=500, ge=0)  # requests that may wait on each road
    slow: float = Field(default=1.0, ge=0)  # seconds from which a statement is logged as slow
