"""The settings of the metrics."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class MetricsSettings(BaseSettings):
    """Who may read the metrics."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_prefix="METRICS_",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    # What Prometheus sends as "Authorization: Bearer"; without it anyone may read, so keep
    # the path inside then: do not let the proxy pass it on.
    token: SecretStr | None = None
