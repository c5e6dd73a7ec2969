"""Texts of a split as a page shows them: cut where they are long, and literal."""

from soup_core.data import Split
from soup_core.runtime.files import shown

CHARACTERS_AT_MOST = 400


def sentences(split: Split, index: int) -> tuple[str, ...]:
    """A text of a split, or the two of a pair, at most so long; its tokens' numbers where the text is not known.

    What cannot be displayed, or turns the text, becomes a mark.
    """
    tokens = split.tokens
    assert tokens is not None, "a split of texts"
    if not tokens.texts:
        begin = int(tokens.lengths[:index].sum())
        numbers = tokens.ids[begin : begin + int(tokens.lengths[index])].tolist()
        return (shown(" ".join(map(str, numbers)), CHARACTERS_AT_MOST),)
    return tuple(shown(" ".join(text.split()), CHARACTERS_AT_MOST) for text in tokens.texts[index])
