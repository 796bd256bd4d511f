"""The tests.

Importing the service reads its settings: outside a test these are the defaults. Neither the
developer's `.env` nor the environment reaches a service that is only imported.
"""

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

SOURCES = BaseSettings.settings_customise_sources


def _only_arguments(
    _: type[BaseSettings],
    __: type[BaseSettings],
    init_settings: PydanticBaseSettingsSource,
    **___: object,
) -> tuple[PydanticBaseSettingsSource, ...]:
    return (init_settings,)


BaseSettings.settings_customise_sources = classmethod(_only_arguments)  # type: ignore[assignment,arg-type]
