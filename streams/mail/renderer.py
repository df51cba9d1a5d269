"""Mails from templates: `templates/<language>/<name>.txt` and `.html`, of the same words.

The first line of a text is the subject. A name that a template uses and is not given is an error,
and what stands in HTML is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from streams.mail.language import Language, Prices, forms

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Content:
    """`subject` is one line."""

    language: Language
    subject: str
    text: str
    html: str


class Renderer:
    """Writes amounts in the store's one currency."""

    def __init__(self, prices: Prices) -> None:
        self._environments = {language: _environment(language, prices) for language in Language}

    def render(self, name: str, language: Language, /, **context: object) -> Content:
        """The mail of a name. Raises jinja2.TemplateError where a template is at fault."""
        environment = self._environments[language]
        subject, _, text = environment.get_template(f"{name}.txt").render(context).partition("\n")
        html = environment.get_template(f"{name}.html").render(context, subject=subject)
        return Content(language, " ".join(subject.split()), text.strip() + "\n", html)


def _environment(language: Language, prices: Prices) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([_TEMPLATES / language, _TEMPLATES]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(forms(language, prices))
    environment.globals["language"] = language.value
    return environment
