"""Code that was written for earlier releases finds the options where they were."""

from __future__ import annotations

import vlprompt
from vlprompt.methods import method_class, options


def test_options_are_found_under_their_earlier_names():
    assert options.PromptOptions is vlprompt.PromptOptions is method_class("coop").options_class
    assert options.GDAOptions is method_class("gda").options_class
    assert options.DEFAULT_TEMPLATE.format("cat") == "a photo of a cat."
