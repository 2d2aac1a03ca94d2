"""The FastAPI application behind the page; it only reads."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from airflow.api_fastapi.app import API_ROOT_PATH
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from darkroom_airflow.operators.entrypoint import workspace
from darkroom_airflow.overview.local import Known, known_pipelines
from darkroom_airflow.overview.page import render
from darkroom_airflow.overview.registry import Registered, RegistryError, registered

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@cache
def application() -> FastAPI:
    """The application, made once per process."""
    app = FastAPI(title="Darkroom", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route("/", _overview, methods=["GET"], response_class=HTMLResponse)
    app.add_exception_handler(HTTPException, _refuse)
    return app


# Not async: FastAPI runs it beside the server's event loop, for it reads database and files.
def _known(user: GetUserDep, session: SessionDep) -> list[Known]:
    return known_pipelines(user, session)


async def _overview(known: Annotated[list[Known], Depends(_known)]) -> Response:
    found: dict[str, Registered] = {}
    problem = None
    try:
        found = await registered([one.config.name for one in known])
    except RegistryError as error:
        problem = str(error)
    return HTMLResponse(render(known, found, problem, workspace()), headers=HEADERS)


async def _refuse(request: Request, error: Any) -> Response:
    """Sends a browser that is not signed in to sign in; a program gets the code."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"detail": error.detail}, status_code=error.status_code)
    login = urlencode({"next": str(request.url)})
    return RedirectResponse(f"{API_ROOT_PATH}api/v2/auth/login?{login}")
