"""docs/models.md lists the zoo as it is."""

from splitwatt.export import zoo
from tools.models_page import PAGE, page


def test_the_page_is_of_this_zoo():
    text = PAGE.read_text()
    assert text == page(text), "write it anew: python -m tools.models_page"
    for name, system in zoo.systems().items():
        assert f"| `{name}` |" in text and system.citation in text
