"""The survey of a month: its imagery, and all that was found about it before it is mapped."""

from dataclasses import dataclass

from landcover.imagery.coverage import Coverage
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.radiometry import Radiometry
from landcover.notices import Told


@dataclass(frozen=True)
class Survey:
    """A month's imagery, and what was found about it."""

    mosaic: Mosaic
    """The imagery itself."""
    coverage: Coverage
    """How much of the area of interest it covers."""
    radiometry: Radiometry
    """How bright it is, and what is wrong with that."""

    @property
    def notices(self) -> tuple[Told, ...]:
        """What is probably wrong with it."""
        return (*self.mosaic.notices, *self.radiometry.warnings)
