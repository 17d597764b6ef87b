"""Types of the flows' parameters: what the command line, the form and the API check."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from landcover.model.pooling import CHOICES, TrainOn
from landcover.period import Period, months_between, read_month
from tasks.access.settings import scheduler_address

FIRST_YEAR, LAST_YEAR = 1972, 2100

Year = Annotated[int, Field(ge=FIRST_YEAR, le=LAST_YEAR, title="Year")]
Month = Annotated[int, Field(ge=1, le=12, title="Month")]

Scheduler = Annotated[str, AfterValidator(scheduler_address), Field(title="Dask scheduler")]

AtOnce = Annotated[int, Field(ge=1, title="At once")]

_LABEL = r"^\d{4}-(0[1-9]|1[0-2])$"


def _check_month(label: str) -> str:
    if not re.match(_LABEL, label):
        raise ValueError("write year and month, such as 2024-01")
    if not FIRST_YEAR <= int(label[:4]) <= LAST_YEAR:
        raise ValueError(f"the year should be from {FIRST_YEAR} to {LAST_YEAR}")
    return label


# The form checks the pattern too; said by pydantic, it would not be understood.
MonthLabel = Annotated[
    str, AfterValidator(_check_month), Field(json_schema_extra={"pattern": _LABEL})
]


def _check_train_on(text: str) -> str:
    TrainOn.read(text)
    return text


Teachers = Annotated[
    str,
    AfterValidator(_check_train_on),
    Field(title="Trained on", json_schema_extra={"pattern": CHOICES}),
]


# A single one may be written as text, as before there could be several.
InputData = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
    Field(title="Samples", min_length=1),
]


class Between(BaseModel):
    """The period that loss of forest is looked for in, as far as it is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: MonthLabel | None = Field(
        default=None,
        alias="from",
        title="From",
        description="Loss that was first detected in this month or later, such as 2024-01; the "
        "first month of the record if left out.",
    )
    last: MonthLabel | None = Field(
        default=None,
        alias="to",
        title="To",
        description="The same month as --year and --month, such as 2024-12; may be left out.",
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.first and self.last and self.first > self.last:
            raise ValueError(f"the first month, {self.first}, is after the last, {self.last}")
        return self


class Months(BaseModel):
    """Months in a row; as text, from which to which."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: MonthLabel = Field(
        alias="from", title="From", description="The first month, such as 2024-01."
    )
    last: MonthLabel = Field(alias="to", title="To", description="The last month, such as 2024-12.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.first > self.last:
            raise ValueError(f"the first month, {self.first}, is after the last, {self.last}")
        return self

    def __str__(self) -> str:
        """Return from which to which."""
        return f"{self.first} to {self.last}"

    def periods(self) -> list[Period]:
        """Return each of the months, in order."""
        return months_between(read_month(self.first), read_month(self.last))
