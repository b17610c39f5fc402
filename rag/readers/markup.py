"""Text out of HTML and JATS, as publishers' abstracts and titles come."""

from __future__ import annotations

import html
import re

from rag.text import visible

# Only these: "<think>" is a word of an abstract.
_INLINE = "a|abbr|b|bold|cite|code|em|ext-link|font|i|inf|italic|mark|monospace|q|roman|sc|small|span|strong|strike"
_INLINE += "|styled-content|sub|sup|tt|u|underline|xref|named-content|inline-formula|tex-math"
_BLOCK = "abstract|abstracttext|article-title|blockquote|br|dd|div|dl|dt|disp-formula|h[1-6]|hr|label|li|list|list-item"
_BLOCK += "|ol|p|pre|sec|section|table|tbody|td|th|title|tr|ul"
_ATTRIBUTES = r"""(?:\s+[\w:.-]{1,40}\s*=\s*(?:"[^"<>]{0,2000}"|'[^'<>]{0,2000}'|[^\s"'<>]{1,200})){0,20}\s*/?"""
_INLINE_TAG = re.compile(rf"</?(?:(?:jats:)?(?:{_INLINE})|mml:[\w-]{{1,30}})(?:{_ATTRIBUTES})>", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:jats:)?(?:{_BLOCK})(?:{_ATTRIBUTES})>", re.IGNORECASE)
_HEADING = re.compile(r"<((?:jats:)?title)>\s*(?:abstract|summary)\s*[:.]?\s*</\1>", re.IGNORECASE)
_RAISED = re.compile(r"<(?P<tag>(?:jats:)?sup)>([-+−\d]{1,10})</(?P=tag)>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.{0,2000}?-->|<!\[CDATA\[|\]\]>", re.DOTALL)
_LABEL = re.compile(r"abstract\s*(?::|\.(?=\s)|—|–)\s*", re.IGNORECASE)
_SURROGATES = re.compile("[\ud800-\udfff]")
_RAISED_SIGNS = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")


def plain(text: str) -> str:
    """A text on one line, without tags, entities, and what nobody sees.

    >>> plain("<jats:p>Of 10<sup>5</sup>\\n cells &amp; <i>E. coli</i>,</jats:p> p &lt; 0.05 in <think>")
    'Of 10⁵ cells & E. coli, p < 0.05 in <think>'
    """
    if "<" in text:
        text = _HEADING.sub(" ", _COMMENT.sub("", text))
        text = _RAISED.sub(lambda match: raised(match[2]), text)
        text = _BLOCK_TAG.sub(" ", _INLINE_TAG.sub("", text))
    if "&" in text:
        text = html.unescape(text)
    return " ".join(kept(text).split())


def kept(text: str) -> str:
    """A text that can be kept and shown: without what nobody sees, and without halves of characters."""
    return visible(_SURROGATES.sub("\ufffd", text))


def raised(text: str) -> str:
    """A number as an exponent: ten to the fifth is not 105."""
    return text.translate(_RAISED_SIGNS)


def without_label(abstract: str) -> str:
    """An abstract that doesn't begin by saying that it is one."""
    return abstract[label.end() :] if (label := _LABEL.match(abstract)) else abstract
