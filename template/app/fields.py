"""Types of what clients send, for every feature: what a database would choke on gets a 422."""

from typing import Annotated

from pydantic import Field

MAX_ID = 2**63 - 1  # of a 64-bit key: a driver fails at a larger number

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]  # some databases refuse a NUL, others cut there
