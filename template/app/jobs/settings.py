"""The settings of jobs and of the broker that carries them."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from app.settings import ServiceSettings


def broker_module(url: str) -> str | None:
    """Return the name of the module for a URL's kind of broker, None when there is none."""
    scheme = url.partition("://")[0]
    for name in (scheme, scheme.removesuffix("s")):
        if name.isalpha() and find_spec(f"app.tasks.broker_{name}"):
            return f"app.tasks.broker_{name}"
    return None


class TaskSettings(ServiceSettings):
    """How jobs are carried and run; its own begin with TASKS_. Times are seconds."""

    model_config = SettingsConfigDict(env_prefix="TASKS_")

    # Empty: the service itself runs the jobs, one at a time, in a thread.
    broker_url: str = Field(default="", validation_alias="BROKER_URL")
    embedded: bool = False  # whether it may do so in production too
    environment: Literal["production", "development"] = Field(
        default="production", validation_alias="ENVIRONMENT"
    )
    fastapi_env: str = Field(default="", validation_alias="FASTAPI_ENV")  # `fastapi dev` sets it

    publish_queue: int = Field(default=1000, ge=1)  # jobs that may wait to be handed over
    publish_timeout: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    soft_limit: float = Field(default=300, gt=0, allow_inf_nan=False)  # an attempt has failed then
    hard_limit: float = Field(default=330, gt=0, allow_inf_nan=False)  # and its process is killed
    lease: float = Field(default=30, gt=0, allow_inf_nan=False)  # renewed every third of it
    backoff: float = Field(default=2, ge=0, allow_inf_nan=False)  # doubles with each attempt
    backoff_max: float = Field(default=600, ge=0, allow_inf_nan=False)
    statement_timeout: float = Field(default=60, gt=0, allow_inf_nan=False)

    sweep_every: float = Field(default=5, gt=0, allow_inf_nan=False)
    # That a message may wait behind others before it counts as lost; as much again for
    # each thousand jobs that wait.
    patience: float = Field(default=600, gt=0, allow_inf_nan=False)
    keep_days: float = Field(default=7, gt=0, allow_inf_nan=False)  # finished jobs

    @property
    def may_embed(self) -> bool:
        """Whether the service may run jobs itself: in production only when that is said."""
        return self.embedded or "development" in (self.environment, self.fastapi_env)

    @field_validator("broker_url")
    @classmethod
    def _names_the_broker(cls, url: str) -> str:
        if not url:
            return url
        nodes = url.split(";")
        modules = {broker_module(node) for node in nodes}
        if None in modules:
            raise ValueError("is for another kind of broker than this service was made for")
        broker: Any = import_module(str(modules.pop()))
        if any(broker.split(node)[1] != broker.split(nodes[0])[1] for node in nodes):
            raise ValueError("has nodes with different schemes or parameters: give all the same")
        return url

    @model_validator(mode="after")
    def _soft_comes_first(self) -> "TaskSettings":
        if self.soft_limit >= self.hard_limit:
            raise ValueError("TASKS_SOFT_LIMIT must be below TASKS_HARD_LIMIT")
        return self
