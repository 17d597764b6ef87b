"""From a model and imagery to a recorded map: what the flows that map a month share."""

from collections.abc import Mapping

from upath import UPath

from flows.parallel import map_windows
from flows.provenance import describe_sources
from flows.summary import Steps
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.survey import Survey
from landcover.maps.assembly import FinishedMap
from landcover.maps.pieces import Piece, Plan
from landcover.maps.prediction import PredictionSettings
from landcover.model.forest import Model
from tasks.assembly import assemble_map
from tasks.catalogue import list_maps
from tasks.cluster import Cluster
from tasks.records import record_prediction
from tasks.regions import Regions, record_regions_of, regions_file
from tasks.report import write_report
from tasks.run import Run, remove_work
from tasks.training import Training
from tasks.windows import forget_predictor, plan_windows, predict_windows, sieve_windows


def map_survey(
    run: Run,
    survey: Survey,
    training: Training,
    model_id: int,
    polygons: UPath | None,
    settings: PredictionSettings,
    made_by: Mapping[str, object],
    steps: Steps,
    cluster: Cluster,
    regions: Regions | None = None,
) -> FinishedMap:
    """Predict, assemble, report and record a month's map.

    Args:
        run: whose map.
        survey: the imagery that is mapped, and what was found about it.
        training: the model.
        model_id: of its row.
        polygons: that trained it; None where they are not at hand.
        settings: how the map is made.
        made_by: command, code version, flow run and settings.
        steps: the clock of the run.
        cluster: what predicts.
        regions: that hectares are given for, if any.

    Raises:
        Exception: that of the first window to fail.
    """
    mosaic, model = survey.mosaic, training.model
    plan = plan_windows(run, mosaic, model, cluster)
    pieces = make_pieces(run, plan, mosaic, model, settings.smallest_patch, cluster)
    steps.done("prediction")

    finished = assemble_map(run, plan, pieces, mosaic, model, regions)
    steps.done("map")

    sources = describe_sources(finished, training, made_by)
    write_report(run, survey, finished, polygons, training, sources)
    steps.done("report")

    record_prediction(run, survey, training, finished, model_id, made_by)
    record_regions_of(run, "prediction", finished.regions, made_by)
    list_maps(run)
    remove_work(run, [run.files.work])
    steps.done("record")
    return finished


def files_of_map(run: Run, finished: FinishedMap) -> dict[str, UPath]:
    """Return what each file of a recorded map is, and where.

    Args:
        run: that made it.
        finished: the map.
    """
    classes, confidence = (finished.final / layer.file for layer in finished.layers)
    return {
        "report": run.files.report,
        "map": classes,
        "confidence": confidence,
        "model": finished.model.path,
        **({"regions": regions_file(run, "prediction")} if finished.regions else {}),
    }


def make_pieces(
    run: Run,
    plan: Plan,
    mosaic: Mosaic,
    model: Model,
    smallest_patch: int,
    cluster: Cluster,
) -> list[Piece]:
    """Predict each window of a plan; then, if so wanted, remove the small patches of all.

    Args:
        run: whose map.
        plan: the windows, and where their pieces are kept.
        mosaic: the imagery.
        model: what predicts.
        smallest_patch: pixels of the smallest patch to keep; with 1, every patch is kept.
        cluster: what predicts.

    Raises:
        Exception: that of the first window to fail.
    """
    pieces: list[Piece] = map_windows(
        predict_windows, plan.windows, "Predicting", f"prediction-{run}", cluster,
        run=run, plan=plan, mosaic=mosaic, model=model,
    )  # fmt: skip
    forget_predictor()
    if smallest_patch <= 1:
        return pieces
    # A patch may reach into the windows beside it, so all are predicted before one is sieved.
    return map_windows(
        sieve_windows, plan.windows, "Sieving", f"sieving-{run}", cluster,
        run=run, plan=plan, smallest=smallest_patch,
    )  # fmt: skip
