"""Serves the reports and the Data Docs of a workspace on loopback, and nothing else of it."""

from __future__ import annotations

import html
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from darkroom.contract import Workspace
from local_stack.ports import HOST

_KINDS = {"reports": "Evaluation report", "data_docs": "Data Docs"}
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Darkroom reports</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8884 }
td { overflow-wrap: anywhere }
</style>
<h1>Reports, newest first</h1>
<table>
<tr><th>Page</th><th>Pipeline</th><th>Run</th><th>Written</th></tr>
ROWS
</table>
</html>
"""


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
    rows = "".join(
        _row(page.parent.relative_to(root), page.stat().st_mtime) for page in newest_first
    )
    return _PAGE.replace("ROWS", rows or '<tr><td colspan="4">none yet</td></tr>')


def _row(folder: Path, written: float) -> str:
    """What a page is about, where it is, and when it was written."""
    kind, pipeline, *run = (html.escape(part) for part in folder.parts)
    at = datetime.fromtimestamp(written, UTC)
    cells = (
        f'<a href="/{html.escape(str(folder))}/">{_KINDS[kind]}</a>',
        pipeline,
        "/".join(run) or "all runs",
        f'<time datetime="{at.isoformat()}">{at:%Y-%m-%d %H:%M} UTC</time>',
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def main(workspace: str, port: str, host: str = HOST) -> None:
    """Serves until the process is stopped; another host than loopback is for containers."""
    app = application(Workspace(Path(workspace)))
    uvicorn.run(app, host=host, port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
