"""Health and metrics, at the root and without a token."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.models.session import HealthAnswer
from api.state import CurrentState
from muster import __version__

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Tell whether questions can be answered", response_model=HealthAnswer)
async def get_health(state: CurrentState) -> Response:
    """200 while the database answers (`degraded` while the bus is away), 503 when it does not."""
    database = await state.database.check()
    bus = state.road.check()
    status = "failing" if database else "degraded" if bus else "ok"
    answer = HealthAnswer(
        status=status,
        version=__version__,
        checks={"database": database or "ok", "bus": bus or "ok"},
    )
    return JSONResponse(answer.model_dump(), 503 if database else 200, headers={"Cache-Control": "no-store"})


@router.get("/metrics", summary="Give metrics for Prometheus", response_class=Response)
async def get_metrics() -> Response:
    """Metrics of this process in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
