"""Sample texts for a checkpoint, if the user passes none: prose, code, numbers, other scripts, and a short line.

The range that the probe measures depends on these texts, so a change of them changes measured numbers.
"""

_PROSE = """The first token of a text, its full stops and its line breaks are where a language model keeps large
numbers. Whoever measures a range needs some of each.

Here is a second paragraph, and it ends as the first one does.
"""

_CODE = """def mean(values):
    total = 0.0
    for value in values:
        total += value
    return total / len(values)
"""

_SCRIPTS = """1, 2, 3, 5, 8, 13, 21, 34, 55, 89. Question: what comes next? Answer: 144.
Wie geht es weiter? Et ensuite? Что дальше? 你好。
"""

TEXTS = (_PROSE, _CODE, _SCRIPTS, "Yes.")
