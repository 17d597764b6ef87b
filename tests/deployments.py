"""A deployment of the monthly flow, as `prefect deploy` makes it, which takes that ten seconds."""

from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.workers.process import ProcessWorker

from flows.monthly import monthly_pipeline

NAME = "monthly-pipeline/monthly"


def deploy_monthly(client: SyncPrefectClient, pool: str, folder: Path) -> UUID:
    """Make a work pool of processes and the deployment; return the deployment's id.

    Args:
        client: of the server.
        pool: the name of the work pool.
        folder: where workers have the code.
    """
    template = ProcessWorker.get_default_base_job_template()
    client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template))
    step = "prefect.deployments.steps.set_working_directory"
    return client.create_deployment(
        client.create_flow(monthly_pipeline),
        "monthly",
        entrypoint="flows/monthly.py:monthly_pipeline",
        pull_steps=[{step: {"directory": str(folder)}}],
        work_pool_name=pool,
        parameter_openapi_schema=monthly_pipeline.parameters.model_dump_for_openapi(),
        enforce_parameter_schema=True,
    )
