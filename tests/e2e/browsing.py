"""A person at a browser, who uses Airflow's pages and nothing else."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import HEIGHT, WIDTHS

_PATIENCE_MS = 120_000


class Person:
    """Somebody who is signed in."""

    def __init__(self, browser: Browser, base: str, user: str, password: str) -> None:
        """Args: browser: whose window; base: Airflow's address; user: who; password: theirs."""
        context = browser.new_context(viewport={"width": WIDTHS[0], "height": HEIGHT})
        context.set_default_timeout(_PATIENCE_MS)
        expect.set_options(timeout=_PATIENCE_MS)
        self._base = base
        self.page = context.new_page()
        self.page.goto(base)
        self.page.locator('input[name="username"]').fill(user)
        self.page.locator('input[name="password"]').fill(password)
        self.page.keyboard.press("Enter")
        expect(self._menu("Plugins")).to_be_visible()

    def train(self, dag: str, folds: int) -> None:
        """Sends a training DAG's trigger form, with another number of folds."""
        self.page.goto(f"{self._base}/dags/{dag}")
        self.page.get_by_role("button", name="Trigger Dag", exact=True).click()
        form = self.page.get_by_role("dialog")
        # The form's only number.
        form.get_by_role("spinbutton").fill(str(folds))
        form.get_by_role("button", name="Trigger", exact=True).click()
        expect(form).to_be_hidden()

    def open_report(self, dag: str, run: str, task: str) -> Page:
        """Follows the link *Report* among a task's details."""
        self.page.goto(f"{self._base}/dags/{dag}/runs/{quote(run, safe='')}/tasks/{task}")
        self.page.get_by_role("link", name="Details", exact=True).click()
        with self.page.context.expect_page() as opened:
            self.page.get_by_role("link", name="Report", exact=True).click()
        opened.value.wait_for_load_state()
        return opened.value

    def open_note(self, dag: str, run: str) -> Locator:
        """Opens a run's note, of which its page shows the first line."""
        self.page.goto(f"{self._base}/dags/{dag}/runs/{quote(run, safe='')}")
        self.page.get_by_role("button", name="Edit note", exact=True).click()
        note = self.page.get_by_role("dialog")
        expect(note).to_be_visible()
        return note

    def open_required_actions(self) -> None:
        """Opens the list of open questions from the menu."""
        self._menu("Browse").click()
        self.page.get_by_role("menuitem", name="Required Actions", exact=True).click()
        expect(self.page.get_by_role("link", name="May version")).to_be_visible()

    def open_question(self, subject: str) -> None:
        """Opens a question of the list."""
        self.page.get_by_role("link", name=subject).click()
        expect(self.page.locator("#element_reason")).to_be_visible()

    def approve(self, reason: str) -> None:
        """Answers the question that is open."""
        self.page.locator("#element_reason").fill(reason)
        self.page.get_by_role("button", name="Approve", exact=True).click()
        expect(self.page.locator("#element_reason")).to_be_disabled()

    def open_overview(self) -> Page:
        """Opens the page of all pipelines from the menu."""
        self._menu("Plugins").click()
        with self.page.context.expect_page() as opened:
            self.page.get_by_role("menuitem", name="Darkroom", exact=True).click()
        opened.value.wait_for_load_state()
        return opened.value

    def _menu(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)


def photograph(page: Page, folder: Path, name: str) -> None:
    """Takes pictures of a whole page on each kind of screen: ``<name>-<width>-<scheme>.png``.

    Raises:
        AssertionError: The page has to be moved sideways to be read.
    """
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} pixels wide on a screen of {width}"
