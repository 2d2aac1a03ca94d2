"""Great Expectations without a project folder, and its Data Docs: escaped, and self-contained."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from great_expectations.render.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, FileSystemLoader, pass_context

from darkroom import pages

if TYPE_CHECKING:
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context import EphemeralDataContext

SITE: Final = "data_docs"
_RUN_TIME: Final = "%Y%m%dT%H%M%S.%fZ"


class OwnPageView(DefaultJinjaPageView):
    """A page that loads nothing, and in which observed values are text.

    The original takes them for HTML, and its style and scripts from servers on the internet.
    """

    _template = "data_docs.html.j2"

    def __init__(self, **options: Any) -> None:
        """Args: **options: those of the original."""
        super().__init__(**options)
        own = FileSystemLoader([Path(__file__).parent, pages.FOLDER])
        assert self.env.loader is not None
        self.env.loader = ChoiceLoader([own, self.env.loader])

    @pass_context
    def render_content_block(
        self, jinja_context: Any, content_block: Any, *arguments: Any, **named: Any
    ) -> Any:
        """What the page's templates call for every cell; a class name, for example, is a text."""
        if isinstance(content_block, str):
            return html.escape(content_block)
        if isinstance(content_block, list):
            content_block = [
                html.escape(one) if isinstance(one, str) else one for one in content_block
            ]
        return super().render_content_block(jinja_context, content_block, *arguments, **named)


def open_context(docs: Path) -> EphemeralDataContext:
    """A context that keeps everything but the Data Docs in memory and reports to nobody.

    Args:
        docs: Folder of the Data Docs.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    view = {"view": {"module_name": __name__, "class_name": OwnPageView.__name__}}
    settings = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={
            SITE: {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(docs),
                },
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                "site_section_builders": {"expectations": view, "validations": view},
            }
        },
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    return gx.get_context(project_config=settings, mode="ephemeral")


def build(context: EphemeralDataContext) -> None:
    """Writes the pages; those of earlier validations stay.

    No index: writing it, Great Expectations deletes all pages whose results it has not in memory.
    """
    context.build_data_docs([SITE], build_index=False)


def page_of(docs: Path, suite: str, run: RunIdentifier) -> Path:
    """The page of one suite's result.

    Raises:
        FileNotFoundError: The Data Docs have none.
    """
    assert run.run_time is not None
    folder = docs / "validations" / suite / str(run.run_name) / run.run_time.strftime(_RUN_TIME)
    pages: list[Path] = sorted(folder.glob("*.html"))
    if not pages:
        raise FileNotFoundError(f"Great Expectations has written no page to {folder}")
    return pages[0]
