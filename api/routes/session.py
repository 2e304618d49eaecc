"""Who is looking: signing the console in and out with a token."""

from fastapi import Request, Response

from api.access import COOKIE, CurrentViewer
from api.models.session import LoginRequest, SessionAnswer
from api.routes.answering import router_of
from api.state import CurrentState
from muster.errors import RequestError

_LASTS_S = 30 * 86400
router = router_of("session", "/session")


@router.get("", summary="Tell who the caller is")
async def get_session(request: Request, state: CurrentState) -> SessionAnswer:
    """Never refused: without a token in force it says so, and whether one is needed."""
    try:
        viewer = await state.access.viewer(request)
    except RequestError as error:
        if error.status != 401:
            raise
        return SessionAnswer(signed_in=False, by="nobody", label="", enterprise=None, may_write=False)
    return _session(viewer)


@router.post("", summary="Sign in with a token")
async def sign_in(
    given: LoginRequest, request: Request, response: Response, state: CurrentState
) -> SessionAnswer:
    """Puts the token into a cookie that scripts cannot read and other sites cannot send."""
    viewer = await state.access.of_token(given.token.get_secret_value())
    if viewer is None:
        raise RequestError("the token is unknown, expired or revoked", status=401, code="unauthorized")
    response.set_cookie(
        COOKIE,
        given.token.get_secret_value(),
        max_age=_LASTS_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return _session(viewer)


@router.delete("", summary="Sign out", status_code=204)
async def sign_out(response: Response) -> None:
    """Forgets the cookie."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def _session(viewer: CurrentViewer) -> SessionAnswer:
    return SessionAnswer(
        signed_in=viewer.by == "token",
        by=viewer.by,
        label=viewer.label,
        enterprise=viewer.enterprise_code,
        may_write=viewer.may_write,
    )
