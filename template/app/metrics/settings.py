"""The settings of the metrics."""

import re
from hmac import compare_digest

from pydantic import SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from app.settings import ServiceSettings


class MetricsSettings(ServiceSettings):
    """Who may read the metrics."""

    model_config = SettingsConfigDict(env_prefix="METRICS_")

    # What Prometheus sends as "Authorization: Bearer"; without it anyone may read, so keep
    # the path inside then: do not let the proxy pass it on.
    token: SecretStr | None = None

    @field_validator("token")
    @classmethod
    def _can_be_sent(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not re.fullmatch(r"[!-~]+", token.get_secret_value()):
            raise ValueError("must be visible ASCII characters without spaces: no other is sent")
        return token

    def allow(self, authorization: str) -> bool:
        """Tell whether a request with this header may read them."""
        if self.token is None:
            return True
        scheme, _, given = authorization.partition(" ")  # whose case does not count
        expected = self.token.get_secret_value().encode()
        return scheme.lower() == "bearer" and compare_digest(given.strip().encode(), expected)
