"""The texts, fields and counters that the goldens are made from: all of our own writing."""

TEXTS = [
    # ordinary prose
    "A quiet film about a loud family.",
    "I can't say it's perfect, but I'd watch it again; wouldn't you?",
    "The plot (what there is of it) isn't worth $7.50.",
    "\"Nobody asked,\" she said, 'and nobody answered.'",
    "He left at 5:30 p.m. on Dec. 12, 1987, with Dr. Lee and Mrs. O'Neil.",
    "The well-known, twenty-one-year-old actor re-appeared in mid-May.",
    "First sentence. Second one! Third? Yes; fourth: done.",
    "it all lower case and has no end",
    "Rated 8/10 by 3,204 people, i.e. 64.1% of them, e.g. me.",
    "The director's cut runs 2h15m -- far too long.",
    # capitals
    "THIS FILM IS GREAT",
    "I think I LOVE it, and SO does Ann",
    "A B C are letters; USA and U.S.A. are not",
    "McDonald met an iPhone user from NewYork in NYC's Chinatown",
    "DON'T STOP! O.K. WE'LL GO",
    "Wow. WOW! WOW",
    "R2D2 and C3PO saw X-Men 2",
    "HELLO\tWORLD and\tGoodbye",
    "Élan Übermut Ångström ÉCOLE",
    "A",
    "I",
    "Go",
    # repeated characters
    "sooooo good!!!!!",
    "aaa aa a",
    "hmmmm.... well... ok..",
    "1000000 and 1999 and 111",
    "-----",
    "=== title ===",
    "yessss nooooo YESSSS",
    "a+++b ***",
    # repeated words
    "very very very good",
    "no no no no no",
    "well well this is is fine",
    "bla bla bla, and then the the the end.",
    "Ha ha ha",
    "so so so so sorry sorry sorry",
    "really  really   really long",
    "ha, ha, ha",
    # html and leftovers of old corpora
    "one<br />two<br /><br />three",
    "He said &quot;no&quot; &amp; left",
    "it&#39;s and it#39;s",
    "fish &amp; chips &lt;b&gt; &copy; 2001 &eacute;t&eacute;",
    "nbsp; here and&nbsp;there",
    "4 @.@ 5 and well @-@ known , with <unk> words",
    "a back\\nslash and a \\\"quote\\\"",
    "cost #36;5 or $5 &#36;5",
    "AT&T R&D Q&A",
    "5 < 6 > 4 & so on",
    # addresses, signs, slashes
    "see http://example.org/a/b?c=d&e=f#top or www.example.org",
    "write to someone.else@example.org now!",
    "@user #hashtag c:\\temp\\file.txt and/or either/or",
    "50% of $1,000.00 = 500 EUR; 3 x 4 = 12; 1/2 + 1/4",
    "C++ and C# and .NET, v2.0.1-beta",
    # unicode
    "naïve café, déjà vu – “quoted” ‘text’ … end",
    "😀😀😀 great 👍🏽 :-) :) <3 ;D",
    "Привет мир и ещё раз привет",
    "これはペンです。",
    "مرحبا بالعالم",
    "zero\u200bwidth and non\u00a0breaking and soft\u00adhyphen",
    "ﬁne ǅ ẞ İstanbul",
    "e\u0301 combining, ½ and x² and №5",
    # spaces and newlines
    "  leading and trailing  ",
    "two  spaces   three    four",
    "line one\nline two\n\nline four",
    "tab\there\r\nand a carriage return",
    "",
    " ",
    "\n",
    "...",
    "!?",
    # words that look like our own control tokens
    "xxbos is a word here, and so is xxmaj",
]

# two text columns of the same rows, as for a title and a body
FIELDS = [
    ("A Title", "The body is longer than the title."),
    ("GREAT", "not really"),
    ("", "no title at all"),
    ("one one one", "two"),
]

# name: (counts in the order first seen, options of make_vocab)
COUNTERS = {
    "ties_keep_first_seen_order": ([("b", 4), ("a", 4), ("c", 5), ("e", 3), ("d", 3)], {}),
    "min_freq_is_at_least": ([("two", 2), ("three", 3), ("four", 4), ("one", 1)], {}),
    "min_freq_1": ([("x", 1), ("y", 2)], {"min_freq": 1}),
    "max_vocab_cuts_the_rare": ([(f"w{i}", 40 - i) for i in range(30)], {"max_vocab": 20}),
    "max_vocab_multiple_of_8": ([(f"w{i}", 40 - i) for i in range(30)], {"max_vocab": 16}),
    "length_multiple_of_8_without_cut": ([(f"w{i}", 9) for i in range(7)], {}),
    "length_one_over_a_multiple_of_8": ([(f"w{i}", 9) for i in range(8)], {}),
    "specials_in_the_corpus_move_to_the_front":
        ([("xxmaj", 90), ("the", 50), ("xxbos", 30), (".", 30), ("xxrep", 2), ("film", 3)], {}),
    "own_specials": ([("a", 5), ("b", 4)], {"special_toks": ["xxunk", "xxpad"]}),
    "nothing_frequent": ([("a", 1)], {}),
}

# (items, share of validation, seed)
SPLITS = [(10, .2, 42), (7, .2, 0), (25, .3, 1), (100, .1, 123), (3, .5, 7), (5, .01, 5)]

# lengths of documents for the not shuffled order of a sorted loader
LENGTHS = [[3, 9, 4, 9, 1, 4], [5], [2, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]]
