"""The papers as a map: a dot for each, near those that are alike and coloured by topic. Its styles are in map.css."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import copysign
from unicodedata import east_asian_width

from rag.papers import Paper
from rag.text import readable
from rag.topics import Topics
from rag.web.html import counted, safe

_WIDTH, _HEIGHT, _MARGIN = 600, 480, 18
# The height of a name and the width of its letters at the largest size that map.css gives them, on a narrow screen.
_LINE, _LETTER = 22, 12.0
# A name of so many letters is narrower than half of the map: it fits on one side of any dot.
_NAME_LETTERS = 22


@dataclass(frozen=True)
class _Dot:
    paper: Paper
    topic: int
    x: float
    y: float
    radius: float

    @property
    def box(self) -> _Box:
        return _Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    @property
    def inside(self) -> bool:
        return self.left >= 0 and self.top >= 0 and self.right <= _WIDTH and self.bottom <= _HEIGHT


def drawn(papers: Sequence[Paper], topics: Topics, lit: Collection[str] = ()) -> str:
    """The map and its legend as HTML.

    :param topics: of these papers, in this order.
    :param lit: ids of the papers to draw on top, larger, and with their titles.
    """
    radius = min(7.0, max(2.5, 80 / max(len(papers), 1) ** 0.5))
    dots = [
        _Dot(
            paper,
            topic,
            _MARGIN + float(x) * (_WIDTH - 2 * _MARGIN),
            _MARGIN + float(y) * (_HEIGHT - 2 * _MARGIN),
            radius + 2.5 if paper.paper_id in lit else radius,
        )
        for paper, topic, (x, y) in zip(papers, topics.topic, topics.positions, strict=True)
    ]
    bright = [dot for dot in dots if dot.paper.paper_id in lit]
    shown = "".join(_circle(dot, "") for dot in dots if dot.paper.paper_id not in lit)
    shown += "".join(_circle(dot, " pt-lit") for dot in bright) + _names(bright)
    said = f"Map of {counted(len(papers))} in {counted(len(topics.labels), 'topic')}. Like papers lie together."
    if bright:
        said += f" {len(bright)} {'is' if len(bright) == 1 else 'are'} lit up."
    return (
        f'<div class="pt-map"><svg class="pt-sky{" pt-dimmed" if bright else ""}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img" aria-label="{said}">{shown}</svg>{_legend(topics)}</div>'
    )


def _circle(dot: _Dot, classes: str) -> str:
    return (
        f'<circle class="pt-dot pt-topic-{dot.topic}{classes}" cx="{dot.x:.1f}" cy="{dot.y:.1f}" r="{dot.radius:.1f}" '
        f"{_opens(dot.paper)}><title>{safe(readable(dot.paper.title))}</title></circle>"
    )


def _opens(paper: Paper) -> str:
    return f'data-do="open" data-paper="{safe(paper.paper_id)}"'


def _names(dots: Sequence[_Dot]) -> str:
    """The names of dots beside them, each where it covers no other; a line leads to one that had to move away."""
    taken = [dot.box for dot in dots]
    names = ""
    for dot in sorted(dots, key=lambda dot: dot.y):
        name = _short(readable(dot.paper.title))
        places = _places(dot, _letters(name) * _LETTER)
        box = next((place for place in places if not any(place.meets(other) for other in taken)), places[0])
        taken.append(box)
        after = box.left > dot.x
        x, y = box.left if after else box.right, (box.top + box.bottom) / 2
        if abs(y - dot.y) > _LINE / 2:
            edge = dot.y + copysign(dot.radius, y - dot.y)
            names += f'<line class="pt-leader" x1="{dot.x:.1f}" y1="{edge:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>'
        names += (
            f'<text class="pt-name" x="{x:.1f}" y="{y:.1f}" dy=".35em" text-anchor="{"start" if after else "end"}" '
            f"{_opens(dot.paper)}>{safe(name)}</text>"
        )
    return names


def _places(dot: _Dot, width: float) -> list[_Box]:
    """Where the name of a dot may stand inside the map, nearest first: right or left of it, or some lines away."""
    gap = 1.4 * dot.radius + 3  # map.css makes dots larger on a narrow screen
    boxes = []
    for lines in range(_HEIGHT // _LINE):
        for y in dict.fromkeys((dot.y - lines * _LINE, dot.y + lines * _LINE)):
            top = y - _LINE / 2
            boxes.append(_Box(dot.x + gap, top, dot.x + gap + width, top + _LINE))
            boxes.append(_Box(dot.x - gap - width, top, dot.x - gap, top + _LINE))
    return [box for box in boxes if box.inside]


def _short(title: str) -> str:
    """What stands before a title's colon, or the title, cut at a word if it is long."""
    head = title.partition(":")[0].strip() or title
    if _letters(head) <= _NAME_LETTERS:
        return head
    words = head.split()
    while len(words) > 1 and _letters(" ".join(words)) >= _NAME_LETTERS:
        words.pop()
    cut = " ".join(words)
    while _letters(cut) >= _NAME_LETTERS:  # a script without spaces, or one endless word
        cut = cut[:-1]
    return f"{cut}…"


def _letters(text: str) -> int:
    """How wide a text is, in letters; a Chinese sign takes two."""
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _legend(topics: Topics) -> str:
    sizes = Counter(topics.topic)
    rows = "".join(
        f'<li><span class="pt-swatch pt-topic-{topic}"></span><span>{safe(label)}</span>'
        f'<span class="pt-size">{sizes[topic]}</span></li>'
        for topic, label in enumerate(topics.labels)
    )
    return f'<ul class="pt-legend">{rows}</ul>'
