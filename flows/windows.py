"""The windows of a month's map: predicted and sieved side by side."""

from prefect import unmapped

from flows.parallel import gather
from landcover.imagery.mosaic import Mosaic
from landcover.model.forest import Model
from tasks.run import Month
from tasks.windows import Piece, Plan, predict_window, sieve_window


def predict_windows(
    run: Month, plan: Plan, mosaic: Mosaic, model: Model, smallest_patch: int
) -> list[Piece]:
    """Predict each window of a plan; then, if so wanted, remove the small patches of all.

    Args:
        run: whose map.
        plan: the windows, and where their pieces are kept.
        mosaic: the imagery.
        model: what predicts.
        smallest_patch: pixels of the smallest patch to keep; with 1, every patch is kept.

    Raises:
        Exception: the first window's that failed.
    """
    predicting = predict_window.map(
        plan.windows, unmapped(run), unmapped(plan), unmapped(mosaic), unmapped(model)
    )
    pieces = gather(predicting, "Predicting", f"prediction-{run}")
    if smallest_patch <= 1:
        return pieces
    # A patch may reach into the windows beside it, so all are predicted before one is sieved.
    sieving = sieve_window.map(
        plan.windows, unmapped(run), unmapped(plan), unmapped(mosaic), smallest_patch
    )
    return gather(sieving, "Sieving", f"sieving-{run}")
