import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rag.papers import Paper
from rag.topics import Topics
from rag.web.map import drawn

CSS = (Path(__file__).parents[2] / "rag/web/map.css").read_text()
HOSTILE = [
    "<script>alert(1)</script>",
    "</title></circle></svg><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "</span></li></ul></div>",
    "<![CDATA[ ]]> <!-- gone",
    "&lt;b&gt; &#60;b&#62;",
    "**bold** [text](javascript:alert(1)) `code`",
    ":",
    "",
]


class Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def read(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


def papers(*titles):
    return [
        Paper(paper_id=f"{i:016x}", title=title, title_source="page", abstract="We show it.")
        for i, title in enumerate(titles)
    ]


def spread(count, labels=("marbles",), seed=0):
    """Topics of so many papers, anywhere on the map."""
    positions = np.random.default_rng(seed).random((count, 2)).astype(np.float32)
    return Topics(positions, tuple(i % len(labels) for i in range(count)), labels)


def at(*positions):
    return Topics(np.array(positions, dtype=np.float32), (0,) * len(positions), ("marbles",))


def circles(markup):
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall(r"<circle [^>]*>", markup)]


def names(markup):
    """The attributes and the words of each name on the map."""
    found = re.findall(r"<text ([^>]*)>([^<]*)</text>", markup)
    return [(dict(re.findall(r'([\w-]+)="([^"]*)"', attributes)), read(words).text) for attributes, words in found]


def boxes(markup):
    """What each name covers at the larger of its two sizes: (left, top, right, bottom)."""
    for attributes, words in names(markup):
        x, y, width = (
            float(attributes["x"]),
            float(attributes["y"]),
            12 * sum(2 if sign in "玻璃弹珠" else 1 for sign in words),
        )
        left = x if attributes["text-anchor"] == "start" else x - width
        yield left, y - 10, left + width, y + 10


def test_every_paper_is_drawn_once_inside_the_map():
    some = papers(*["Zorb"] * 60)
    dots = circles(drawn(some, spread(60), {some[3].paper_id, some[7].paper_id}))
    assert sorted(dot["data-paper"] for dot in dots) == [paper.paper_id for paper in some]
    assert all(dot["data-do"] == "open" for dot in dots)
    for dot in dots:
        x, y, r = (float(dot[name]) for name in ("cx", "cy", "r"))
        assert r <= x <= 600 - r
        assert r <= y <= 480 - r


def test_a_dot_has_the_colour_of_its_topic_and_the_title_of_its_paper():
    markup = drawn(papers("Zorb", "Quux"), Topics(np.array([[0, 0], [1, 1]], np.float32), (1, 0), ("a", "b")))
    assert [dot["class"] for dot in circles(markup)] == ["pt-dot pt-topic-1", "pt-dot pt-topic-0"]
    assert re.findall(r"<title>(\w+)</title></circle>", markup) == ["Zorb", "Quux"]


def test_lit_papers_are_drawn_last_larger_and_named():
    some = papers("Zorb: Sorting Marbles", "Quux", "Blip", "Fnord")
    markup = drawn(some, spread(4), [some[2].paper_id, some[0].paper_id])
    dots = circles(markup)
    assert [dot["data-paper"][-1] for dot in dots] == ["1", "3", "0", "2"]
    assert ["pt-lit" in dot["class"] for dot in dots] == [False, False, True, True]
    assert float(dots[2]["r"]) > float(dots[1]["r"])
    assert {(attributes["data-paper"][-1], words) for attributes, words in names(markup)} == {
        ("0", "Zorb"),
        ("2", "Blip"),
    }
    assert markup.rindex("<circle") < markup.index("<text")


def test_nothing_is_lit_unless_asked_for():
    some = papers("Zorb", "Quux")
    for markup in (drawn(some, spread(2)), drawn(some, spread(2), ["f" * 16])):
        assert names(markup) == []
        assert "pt-lit" not in markup
        assert "pt-dimmed" not in markup


@pytest.mark.parametrize("title", ["Marbles and Kettles in Very Large Laboratories", "W" * 60, "玻璃弹珠" * 12])
@pytest.mark.parametrize("place", [(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5), (0.49, 1)])
def test_a_name_stays_inside_the_map(title, place):
    some = papers(title)
    markup = drawn(some, at(place), [some[0].paper_id])
    ((left, _, right, _),) = boxes(markup)
    ((attributes, words),) = names(markup)
    assert words.endswith("…")
    assert len(words) > 8
    assert left >= 0
    assert right <= 600
    assert 10 <= float(attributes["y"]) <= 470


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Zorb: Sorting Marbles", "Zorb"),
        ("Sorting Marbles", "Sorting Marbles"),
        ("Sorting Marbles in the Laboratory", "Sorting Marbles in…"),
        (": Zorb", ": Zorb"),
    ],
)
def test_a_name_is_what_stands_before_the_colon_or_the_first_words(title, expected):
    some = papers(title)
    assert [words for _, words in names(drawn(some, spread(1), [some[0].paper_id]))] == [expected]


def test_names_of_neighbours_do_not_cover_each_other():
    some = papers(*[f"Sorting marbles part {i}" for i in range(8)])
    close = at(*[(0.5 + i / 50, 0.5 + (i % 2) / 100) for i in range(8)])
    found = list(boxes(drawn(some, close, [paper.paper_id for paper in some])))
    assert len(found) == 8
    for i, one in enumerate(found):
        for other in found[:i]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)


def test_as_many_names_as_there_are_papers_when_there_is_no_room():
    some = papers(*["Sorting marbles"] * 80)
    assert len(names(drawn(some, at(*[(0.5, 0.5)] * 80), [paper.paper_id for paper in some]))) == 80


@pytest.mark.parametrize("text", HOSTILE)
def test_no_title_or_label_adds_a_tag_or_an_attribute(text):
    def reading(said):
        some = papers(said)
        topics = Topics(np.zeros((1, 2), np.float32), (0,), (said,))
        return read(drawn(some, topics, [some[0].paper_id]))

    assert reading(text).tags == reading("x").tags
    assert reading(text).attributes == reading("x").attributes


def test_a_strange_id_stays_inside_its_attribute():
    paper = papers("x")[0].model_copy(update={"paper_id": '"><script>'})
    reader = read(drawn([paper], spread(1), ['"><script>']))
    assert "script" not in reader.tags
    assert reader.attributes.count(("data-paper", '"><script>')) == 2


def test_latex_in_a_title_is_readable():
    some = papers(r"{\sc Ofa}: It wins")
    markup = drawn(some, spread(1), [some[0].paper_id])
    assert [words for _, words in names(markup)] == ["Ofa"]
    assert "sc" not in read(markup).text.split()


@pytest.mark.parametrize(
    ("lit", "expected"), [(0, "together."), (1, "together. 1 is lit up."), (2, "together. 2 are lit up.")]
)
def test_the_picture_says_what_it_shows(lit, expected):
    some = papers(*["Zorb"] * 5)
    attributes = read(drawn(some, spread(5, ("a", "b")), [paper.paper_id for paper in some[:lit]])).attributes
    (said,) = [value for name, value in attributes if name == "aria-label"]
    assert said.startswith("Map of 5 papers in 2 topics.")
    assert said.endswith(expected)
    assert ("role", "img") in attributes
    assert not [value for name, value in attributes if name == "tabindex"]


def test_the_legend_counts_the_papers_of_each_topic():
    markup = drawn(papers(*["Zorb"] * 5), spread(5, ("glass marbles", "kettles")))
    legend = markup[markup.index("<ul") :]
    assert re.findall(r"pt-topic-(\d).*?<span>([\w ]+)</span><span[^>]*>(\d)<", legend) == [
        ("0", "glass marbles", "3"),
        ("1", "kettles", "2"),
    ]


def test_no_papers_make_an_empty_map():
    markup = drawn([], Topics(np.zeros((0, 2), np.float32), (), ()))
    assert circles(markup) == []
    assert "Map of 0 papers in 0 topics" in markup
    assert "<li" not in markup


def test_colours_are_in_the_styles_alone():
    some = papers("Zorb")
    markup = drawn(some, spread(1), [some[0].paper_id])
    assert not re.search(r'style=|fill=|stroke=|"#', markup)


@pytest.mark.parametrize(("scope", "ground"), [("", "#ffffff"), (".dark ", "#101418")])
def test_every_topic_has_a_colour_of_its_own_that_stands_out(scope, ground):
    colours = re.findall(rf"^{re.escape(scope)}\.pt-topic-(\d) {{ --pt-topic: (#\w{{6}}); }}", CSS, re.MULTILINE)
    assert [int(topic) for topic, _ in colours] == list(range(10))
    assert len({colour for _, colour in colours}) == 10
    assert min(contrast(colour, ground) for _, colour in colours) >= 3


def contrast(one, other):
    """As WCAG 2 defines it: 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
