"""Zero-shot templates: a text with {} for the class name."""

from __future__ import annotations

from vlprompt.errors import SettingsError, quoted
from vlprompt.files.text_files import is_unicode
from vlprompt.settings_checks import shown

DEFAULT_TEMPLATE = "a photo of a {}."


def check_template(template: str) -> str:
    """The template, if it has exactly one place for the class name.

    Raises:
        SettingsError: it has none or several, or is no Unicode text.
    """
    if not isinstance(template, str):
        raise SettingsError(f"template is {shown(template)}; it must be text with {{}} for the class name.")
    if not is_unicode(template):
        raise SettingsError(f"template {quoted(template)} is not valid Unicode text.")
    if template.count("{}") != 1:
        raise SettingsError(f"template {quoted(template)} must have exactly one {{}} for the class name.")
    return template
