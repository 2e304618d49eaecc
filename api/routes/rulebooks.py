"""Programmes as data."""

from typing import Annotated

from fastapi import Path, Request, Response

from api.access import CurrentViewer
from api.models.rulebooks import ClassAnswer, DaysRuleAnswer, RulebookAnswer, RulebookList, TierAnswer
from api.problems import not_found
from api.routes.answering import router_of, tagged
from evidence.rulebooks import Rulebook, rulebooks

router = router_of("rulebooks", "/rulebooks")


@router.get("", summary="List the programmes", response_model=RulebookList)
async def list_rulebooks(viewer: CurrentViewer, request: Request) -> Response:
    """Every programme this installation knows, the one that counts follow first. It has an ETag."""
    return tagged(request, RulebookList(items=[_answer(each) for each in rulebooks().values()]))


@router.get("/{id}", summary="Describe a programme", response_model=RulebookAnswer)
async def get_rulebook(
    id: Annotated[  # noqa: A002 - the word of the path
        str, Path(max_length=200, description="Its id.", examples=["chifeng-2026"])
    ],
    viewer: CurrentViewer,
    request: Request,
) -> Response:
    """One programme. It has an ETag."""
    found = rulebooks().get(id)
    if found is None:
        raise not_found(f"rulebook {id}")
    return tagged(request, _answer(found))


def _answer(rulebook: Rulebook) -> RulebookAnswer:
    return RulebookAnswer(
        id=rulebook.id,
        title=rulebook.title,
        definition=rulebook.definition,
        time_zone=rulebook.time_zone,
        days=DaysRuleAnswer(**rulebook.days.model_dump()),
        tiers=[TierAnswer(**tier.model_dump()) for tier in rulebook.tiers],
        classes=[ClassAnswer(id=each.id, label=each.label) for each in rulebook.classes],
    )
