"""Types of the flows' parameters: what the command line, the form and the API check."""

from typing import Annotated

from pydantic import Field

Year = Annotated[int, Field(ge=1972, le=2100, title="Year")]
Month = Annotated[int, Field(ge=1, le=12, title="Month")]
