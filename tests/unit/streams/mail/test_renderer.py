from pathlib import Path

import pytest
from jinja2 import UndefinedError

from streams.mail import renderer
from streams.mail.language import Language, Prices
from streams.mail.renderer import Renderer
from streams.reactions.mail import Kind

FORMS = ("txt", "html")
TEMPLATES = Path(renderer.__file__).with_name("templates")


def test_every_mail_has_a_text_and_a_page_in_every_language() -> None:
    found = {
        path.relative_to(TEMPLATES).as_posix()
        for language in Language
        for path in (TEMPLATES / language).iterdir()
        if path.suffix != ".j2"
    }
    assert found == {f"{lg}/{kind}.{form}" for lg in Language for kind in Kind for form in FORMS}


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", list(Kind))
def test_a_mail_without_what_it_needs_is_not_made(kind: Kind, language: Language) -> None:
    with pytest.raises(UndefinedError):
        Renderer(Prices("JPY", 0)).render(kind, language)


@pytest.mark.parametrize("language", list(Language))
def test_the_subject_is_one_line_and_the_title_of_the_page(language: Language) -> None:
    content = Renderer(Prices("JPY", 0)).render("welcome", language, name="Jane", username="jane")
    assert content.language is language
    assert content.subject
    assert "\n" not in content.subject
    assert content.subject not in content.text
    assert f"<title>{content.subject}</title>" in content.html
    assert content.text.endswith("\n")
    assert not content.text.startswith("\n")


def test_pages_load_nothing() -> None:
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not any(piece in text for piece in ("src=", "href=", "url(", "<script", "<link"))
