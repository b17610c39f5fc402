"""Reads pieces of HTML back, and holds texts that try to be more than text."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from hypothesis import strategies as st

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "</div></span></a></button></article>",
    "</title></textarea></style></script>",
    "<!-- gone",
    "&lt;b&gt; &amp;lt; &#60;b&#62; &nbsp",
    "# heading",
    "**bold** __bold__ _it_ *it* ~~gone~~ `code`",
    "[text](javascript:alert(1)) ![](https://a.org/x.png)",
    "- item\n\n1. item\n\n> quote\n\n    code\n\n---",
    "| a | b |\n|---|---|",
    "$$x$$ $x$ \\(x\\) \\[x\\] \\begin{align}",
    "https://a.org www.a.org me@a.org",
    "]]> <![CDATA[ <?php ?>",
    "{{value}} ${value} {% raw %}",
    "\u202e\u200b\ufeff",
    "a\r\nb\rc\nd",
]
# Control characters, lone surrogates and noncharacters have no character reference that is read back as it was.
PRINTED = st.characters(exclude_categories=["Cc", "Cs", "Cn"])
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(PRINTED)).filter(str.strip)
_PLAIN = "Xyzzy"
# Values that other tests read: what is copied is made by rules of its own, and no two openings are the same.
_MADE = {"data-text", "data-opening"}
_EXACT = re.compile(r"data-(?!key|status)")


@dataclass
class Element:
    """A tag with its attributes and the text inside it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""

    @property
    def classes(self):
        return self.attributes.get("class", "").split()

    @property
    def data(self):
        """What page.js passes on when it is pressed."""
        return {name.removeprefix("data-"): value for name, value in self.attributes.items() if name in self._passed}

    @property
    def _passed(self):
        return {name for name in self.attributes if name.startswith("data-")} - {"data-do", "data-key"}


@dataclass
class Reader(HTMLParser):
    """All elements in order, and the text; whatever isn't a tag or text, or isn't closed, is an error."""

    elements: list[Element] = field(default_factory=list)
    text: str = ""
    open: list[Element] = field(default_factory=list)

    def __post_init__(self):
        super().__init__(convert_charrefs=True)

    @property
    def tags(self):
        return [element.tag for element in self.elements]

    @property
    def attributes(self):
        return [pair for element in self.elements for pair in element.attributes.items()]

    def of(self, name):
        """The elements with this tag or, after a full stop, this class."""
        return [e for e in self.elements if (name[1:] in e.classes if name[0] == "." else name == e.tag)]

    def pressed(self, do):
        """What can be pressed to this end."""
        return [element for element in self.elements if element.attributes.get("data-do") == do]

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.elements.append(Element(tag, dict(attrs)))
        self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        self.text += data
        for element in self.open:
            element.text += data

    def handle_comment(self, data):
        raise AssertionError("a comment")

    handle_decl = handle_pi = unknown_decl = handle_comment


def read(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return reader


def spaced(text):
    return " ".join(text.split())


def lined(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


def assert_only_text(block, text):
    """Whatever text comes in, tags and attributes stay; an attribute that holds the text holds it as it was."""
    hostile, harmless = read(block(text)), read(block(_PLAIN))
    assert hostile.tags == harmless.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in harmless.attributes]
    for (name, value), (_, plain) in zip(hostile.attributes, harmless.attributes, strict=True):
        expected = plain.replace(_PLAIN, text)
        if name not in _MADE:
            assert value == (lined(expected) if _EXACT.match(name) else spaced(expected))


def assert_plain(block, text):
    """No sign with a meaning to Markdown, mathematics or HTML is left outside of tags and references."""
    shown = re.sub(r"<[^>]*>|&#\d+;", "", block(text))
    assert not set(shown) & set("<>&*_#[]!$\\`~|{}\n")
