"""What a page says that has nothing to show, or not yet."""

import pytest

from tests.attack.served import target

LOADING = "#loading.alnb-stuck"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "This page got nothing to show"),
        ("import os; os._exit(1)", "This page could not start"),
    ],
)
def test_a_page_that_gets_nothing_says_so_and_offers_to_reload(watching, source, said):
    with target(source) as served, watching() as watched:
        watched.page.goto(served.server.address)
        watched.page.locator(LOADING, has_text=said).wait_for()
        with watched.page.expect_navigation():
            watched.page.get_by_role("button", name="Reload").click()
        watched.page.locator(LOADING, has_text=said).wait_for()


def test_a_page_that_takes_long_says_so_until_there_is_something(watching):
    with target("import time; time.sleep(4); print('there')") as served, watching() as watched:
        watched.page.add_init_script("const now = Date.now; Date.now = () => now() * 20")
        watched.page.goto(served.server.address, wait_until="commit")
        watched.page.locator(LOADING, has_text="alnb is still starting").wait_for()
        watched.page.get_by_text("there").wait_for()
        watched.page.locator("#loading").wait_for(state="detached")
