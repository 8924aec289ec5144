"""A small corpus from a grammar of our own: two sentiments, four topics, word order that can be learned."""

import random

import pandas as pd

SENTIMENTS = ("neg", "pos")

# Each topic: what is spoken of, its parts, what one does with it, where it is met.
TOPICS = {
    "film": dict(thing="film movie sequel thriller comedy",
                 part="plot ending script cast soundtrack camera acting",
                 did="watched saw rented streamed", place="cinema|theatre|festival|living room"),
    "food": dict(thing="meal dinner lunch breakfast dessert",
                 part="soup bread sauce coffee salad service menu",
                 did="ordered ate tasted shared", place="restaurant|corner cafe|market|food court"),
    "hotel": dict(thing="hotel room suite resort hostel",
                  part="bed shower pool lobby view reception carpet",
                  did="booked visited reserved chose", place="old town|harbour|airport|beach"),
    "phone": dict(thing="phone tablet laptop charger headset",
                  part="screen battery keyboard speaker case button lens",
                  did="bought unpacked tested returned", place="office|train|gym|online shop"),
}

MOODS = {
    "pos": dict(adj="wonderful superb charming brilliant lovely delightful splendid pleasant",
                verb="loved enjoyed admired adored",
                verdict="worth every cent|a real treat|better than expected",
                advice="recommend it to everyone|come back soon|do it again tomorrow", face=":-)"),
    "neg": dict(adj="terrible awful boring broken dreadful disappointing shabby unpleasant",
                verb="hated disliked regretted despised",
                verdict="a waste of money|a bad joke|worse than expected",
                advice="warn all my friends|never come back|ask for a refund", face=":-("),
}

SHARED = dict(who="my sister|my brother|an old friend|my neighbour|our teacher|the whole family",
              when="last week|on Monday|two days ago|in the spring|yesterday|after work",
              very="really very truly quite so", count="two three four five six seven")

# {name} stands for a word of that name; "opening" and "closing" frame one to four of the "body" sentences.
SENTENCES = {
    "opening": ("{when} {who} and I {did} this {thing} near the {place} .",
                "I {did} the {thing} {when} because {who} asked me to .",
                "{who} told me about this {thing} , so I {did} it {when} ."),
    "body": ("the {part} was {very} {adj} .", "the {part} and the {part} were {adj} .",
             "I {verb} the {part} of this {thing} .", "{who} {verb} it too , most of all the {part} .",
             "it was not {unlike} at all , it was {adj} .", "after {count} days the {part} is still {adj} .",
             "there were {count} of us , and we all {verb} the {thing} .",
             "at the {place} nobody spoke about the {part} ."),
    "closing": ("in short , it was {verdict} .", "all in all {verdict} . I will {advice} {face}",
                "what a {adj} {thing} ! I will {advice} ."),
}


def _words(line: str) -> list[str]:
    return line.split("|") if "|" in line else line.split()


def _review(rng: random.Random, topic: str, label: str) -> str:
    words = {name: _words(line) for name, line in (SHARED | TOPICS[topic] | MOODS[label]).items()}
    other = MOODS[SENTIMENTS[1 - SENTIMENTS.index(label)]]
    words["unlike"] = _words(other["adj"])  # so that no single word tells the sentiment

    def sentence(kind: str) -> str:
        pattern = rng.choice(SENTENCES[kind])
        filled = [rng.choice(words[w[1:-1]]) if w[0] == "{" and w[-1] == "}" else w for w in pattern.split()]
        text = " ".join(filled).replace(" ,", ",").replace(" .", ".").replace(" !", "!")
        return text[0].upper() + text[1:]

    kinds = ["opening", *["body"] * rng.randint(1, 4), "closing"]
    return " ".join(map(sentence, kinds))


def toy_reviews(n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return a table of n made-up reviews: text, label ("neg" or "pos") and topic.

    A seed gives the same reviews again.
    """
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        topic, label = rng.choice(list(TOPICS)), rng.choice(SENTIMENTS)
        rows.append((_review(rng, topic, label), label, topic))
    return pd.DataFrame(rows, columns=["text", "label", "topic"])


def toy_texts(n: int = 1000, seed: int = 0) -> list[str]:
    """Return a list of n made-up reviews without labels. A seed gives the same reviews again."""
    return toy_reviews(n, seed)["text"].tolist()
