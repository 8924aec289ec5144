"""The card says what it was told, and names cannot break out of it."""

from ulmfit_easy.bundle.card import model_card

FACTS = dict(name="lm", lang="en", backwards=False, held_out="12 documents", results={"perplexity": "50.1"},
             model={"size": "tiny"}, files=[("a.txt", 1200, 3_000_000)], training={"seed": 0})


def test_a_card_has_all_facts_and_room_for_a_licence():
    card = model_card(**FACTS)
    for part in ("# lm\n", 'language: "en"\n', "reads forwards", "reviews.csv --pretrained lm\n", "* size: tiny",
                 "On 12 documents:\n\n* perplexity: 50.1\n", "| `a.txt` | 1,200 | 3,000,000 |", "* seed: 0\n",
                 "* versions: ulmfit_easy ", "torch ", "## Use and limits", "## Licence\n\nTo be filled in"):
        assert part in card, part
    assert card.startswith("---\n") and card.count("\n---\n") == 1


def test_a_backwards_model_says_so():
    card = model_card(**{**FACTS, "backwards": True})
    assert "reads backwards" in card and "--pretrained lm --backwards" in card


def test_a_card_tells_what_was_gone_on_with():
    assert "trained from random weights with" in model_card(**FACTS)
    assert "trained from `wiki-lm` with" in model_card(**FACTS, start="wiki-lm")


def test_no_name_can_break_out_of_its_place():
    evil = "a`|<script>\n# b"
    card = model_card(**{**FACTS, "name": evil, "lang": evil, "files": [(evil, 1, 2)], "held_out": evil, "start": evil,
                         "results": {"x": evil}, "model": {"y": evil}, "training": {"z": evil}})
    assert "<script>" not in card and "\n# b" not in card and "| `a script # b` | 1 | 2 |" in card
