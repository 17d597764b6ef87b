"""Types of the flows' parameters: what the command line, the form and the API check."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from landcover.accuracy.other_map import read_no_data, read_rule
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


def _check_rule(text: str) -> str:
    read_rule(text)
    return text


def _check_no_data(text: str) -> str:
    read_no_data(text)
    return text


def _check_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", text):
        raise ValueError("write a short name of small letters, digits and hyphens")
    return text


class OtherRaster(BaseModel):
    """Another map of the place, as it is named on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(
        alias="with",
        title="With",
        description="The other map: a raster on the disk of the machine that runs this, or in the "
        "bucket as s3://...; in any projection and resolution.",
    )
    forest: Annotated[str, AfterValidator(_check_rule)] = Field(
        title="Forest",
        description="Which of its values are forest: codes with commas between them, such as "
        '"3,4,5,6", or a bound, such as ">=30".',
    )
    band: int | None = Field(
        default=None,
        ge=1,
        title="Band",
        description="Which of its bands is compared, from 1, where it has several.",
    )
    no_data: Annotated[str, AfterValidator(_check_no_data)] = Field(
        default="declared",
        title="No data",
        description="Which of its values stand for no data: declared for those that the file "
        'declares; none; or values in their place, such as "0,27".',
    )
    name: Annotated[str, AfterValidator(_check_name)] | None = Field(
        default=None,
        title="Name",
        description="A short name of the other map for the files' names, such as worldcover, where "
        "several are compared with the same map.",
    )
