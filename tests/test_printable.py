"""Relay and worker print names as they are, but for what would change the terminal around them."""

from collections.abc import Callable

import pytest

import relay.client
import worker.logs

EACH = pytest.mark.parametrize(
    "printable", [relay.client.printable, worker.logs.printable], ids=["relay", "worker"]
)
Printable = Callable[[str], str]


@EACH
@pytest.mark.parametrize(
    "name",
    [
        "株式会社\u3000北物流",
        "Transports\u00a0Dupont\u202fSA",
        "Müller\u2009&\u2003Söhne\u2011Spedition",
        "نقل\u200cونقل",
        "בע\u200fמ",
        "क\u094d\u200dष",
        "\U0001f468\u200d\U0001f527 soft\u00adhyphen \ufeff \ue000",
    ],
    ids=["ideographic", "no-break", "widths", "non-joiner", "mark", "joiner", "others"],
)
def test_names_of_all_languages_are_printed_as_they_are(printable: Printable, name: str) -> None:
    assert printable(name) == name


@EACH
@pytest.mark.parametrize(
    "letter",
    [
        *("\x00", "\x07", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9b"),
        *("\u202a", "\u202b", "\u202c", "\u202d", "\u202e"),
        *("\u2066", "\u2067", "\u2068", "\u2069"),
        *("\u2028", "\u2029", "\ud800", "\udfff", "\u0378", "\U0010ffff"),
    ],
    ids=lambda letter: f"U+{ord(letter):04X}",
)
def test_what_changes_a_terminal_is_replaced(printable: Printable, letter: str) -> None:
    assert printable(f"Acme{letter}\u3000Inc") == "Acme\ufffd\u3000Inc"
