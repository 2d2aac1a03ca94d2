"""Serves the reports and the Data Docs of a workspace on loopback, and nothing else of it."""

from __future__ import annotations

import html
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from darkroom.contract import Workspace
from local_stack.ports import HOST


def application(workspace: Workspace) -> Starlette:
    """The server: ``/reports``, ``/data_docs`` and a page that lists what they hold."""
    folders = (workspace.reports, workspace.data_docs)

    def index(request: Request) -> HTMLResponse:
        return HTMLResponse(_listing(workspace.root, folders))

    mounts = []
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        mounts.append(Mount(f"/{folder.name}", StaticFiles(directory=folder, html=True)))
    return Starlette(routes=[Route("/", index), *mounts])


def _listing(root: Path, folders: tuple[Path, ...]) -> str:
    """Links to every page called index.html that is no deeper than a run's report."""
    pages = [p for f in folders for d in ("*", "*/*", "*/*/*") for p in f.glob(f"{d}/index.html")]
    newest_first = sorted(pages, key=lambda page: page.stat().st_mtime, reverse=True)
    names = (html.escape(str(page.parent.relative_to(root))) for page in newest_first)
    items = "".join(f'<li><a href="/{name}/">{name}</a></li>' for name in names)
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Darkroom reports</title>'
    return f"{head}<h1>Reports, newest first</h1><ul>{items or '<li>none yet</li>'}</ul></html>"


def main(workspace: str, port: str, host: str = HOST) -> None:
    """Serves until the process is stopped; another host than loopback is for containers."""
    app = application(Workspace(Path(workspace)))
    uvicorn.run(app, host=host, port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
