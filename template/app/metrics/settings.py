"""The settings of the metrics."""

from hmac import compare_digest

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

    def allow(self, authorization: str) -> bool:
        """Tell whether a request with this header may read them."""
        if self.token is None:
            return True
        scheme, _, given = authorization.partition(" ")  # whose case does not count
        expected = self.token.get_secret_value().encode()
        return scheme.lower() == "bearer" and compare_digest(given.strip().encode(), expected)
