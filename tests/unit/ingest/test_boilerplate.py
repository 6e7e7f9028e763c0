"""What is cut out of a page, and what only looks as if it should be."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ragstone.ingest.boilerplate import without_boilerplate

PAGE = "<body><main><h1>Title</h1><p>Content.</p>{}</main>{}</body>"


@pytest.mark.parametrize(
    "frame",
    [
        "<nav>Frame</nav>", "<footer>Frame</footer>", "<div role='navigation'>Frame</div>",
        "<div hidden>Frame</div>",
        "<div class='CookieBanner'>Frame</div>", "<div class='x cookie_bar y'>Frame</div>",
        "<div class=breadcrumbs><div>Frame</div></div>", "<span class='mw-editsection'>Frame</span>",
        "<ul class='nav-menu'><li>Frame<li>Frame</ul>", "<dialog open>Frame</dialog>",
        "<div class=cookie-consent>Frame<p>Frame</div>",
    ],
)  # fmt: skip
def test_frames_are_cut_wherever_they_are(frame: str) -> None:
    """Inside of the content and beside it."""
    cut = without_boilerplate(PAGE.format(frame, frame))

    assert "Frame" not in cut
    assert "Content." in cut


@pytest.mark.parametrize("frame", ["<aside>Frame</aside>", "<div role=complementary>Frame</div>"])
def test_asides_go_only_beside_the_content(frame: str) -> None:
    """Within it they are notes."""
    assert "Frame" in without_boilerplate(PAGE.format(frame, ""))
    assert "Frame" not in without_boilerplate(PAGE.format("", frame))


@pytest.mark.parametrize(
    "text",
    [
        "<body class='with-sidebar cookie-banner-open'><h1>T</h1>Kept</body>",
        "<div class='sidebar-layout'><h1>T</h1>Kept</div>",
        "<div aria-hidden=true><main>Kept</main></div>",
        "<main><section id=pagination><h2>Pagination</h2>Kept</section></main>",
        "<div role=main><div id=cookie-notice>Kept</div></div>",
        "<p class=cookies>Kept</p>",
        "<h2 class=breadcrumbs>Kept</h2>",
        "<blockquote>Words<footer>Kept</footer></blockquote>", "<aside>Kept", "Kept", "<nav>Kept</nav>",
    ],
)  # fmt: skip
def test_content_stays(text: str) -> None:
    """Names on what holds the content, anchors, what is never closed, pages that are nothing but frame."""
    assert "Kept" in without_boilerplate(text)


@given(
    st.lists(
        st.sampled_from(
            ["<nav>", "</nav>", "<p>", "</div>", "<div class=sidebar>", "<h1>", "x", "\n<!--", ">"]
        )
    )
)
def test_any_nesting_is_cut_somehow(pieces: list[str]) -> None:
    """Broken markup never fails, and nothing is made up."""
    page = "".join(pieces)

    assert set(without_boilerplate(page)) <= set(page) | {" "}
