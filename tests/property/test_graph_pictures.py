"""Pictures of random graphs: complete and sound, whatever the names say."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.ir.graph import Graph
from agentrt.ir.render_layout import ITEM_GAP, LAYER_GAP, Size, arrange
from agentrt.ir.render_mermaid import to_mermaid
from agentrt.ir.render_svg import to_svg
from agentrt.ir.render_text import to_text
from tests.property.graph_strategies import graphs

sizes = st.builds(Size, st.floats(1, 500), st.floats(1, 300))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[dict[str, Size], dict[str, list[str]]]:
    names = [f"n{index}" for index in range(draw(st.integers(0, 14)))]
    reads = {
        name: draw(st.lists(st.sampled_from(names[:index]), max_size=3, unique=True))
        if index
        else []
        for index, name in enumerate(names)
    }
    return {name: draw(sizes) for name in names}, reads


@settings(max_examples=200)
@given(boxes())
def test_boxes_do_not_overlap_and_edges_run_to_the_right(
    given_boxes: tuple[dict[str, Size], dict[str, list[str]]],
) -> None:
    size_of, reads = given_boxes
    layout = arrange(size_of, reads)
    assert layout.corners.keys() == size_of.keys()
    areas = {
        name: (x, y, x + size_of[name].width, y + size_of[name].height)
        for name, (x, y) in layout.corners.items()
    }
    for name, (left, top, right, bottom) in areas.items():
        assert left >= -0.01
        assert top >= -0.01
        assert right <= layout.size.width + 0.01
        assert bottom <= layout.size.height + 0.01
        for other, (other_left, other_top, other_right, other_bottom) in areas.items():
            if other != name:
                is_apart = (
                    right + LAYER_GAP <= other_left + 0.01
                    or other_right + LAYER_GAP <= left + 0.01
                    or bottom + ITEM_GAP <= other_top + 0.01
                    or other_bottom + ITEM_GAP <= top + 0.01
                )
                assert is_apart, (name, other)
    edges = {(read, reader) for reader, read_ids in reads.items() for read in read_ids}
    assert layout.routes.keys() == edges
    for (read, reader), points in layout.routes.items():
        start, end = areas[read], areas[reader]
        assert abs(points[0][0] - start[2]) < 0.01
        assert abs(points[0][1] - (start[1] + start[3]) / 2) < 0.01
        assert abs(points[-1][0] - end[0]) < 0.01
        assert abs(points[-1][1] - (end[1] + end[3]) / 2) < 0.01
        assert [x for x, _ in points] == sorted(x for x, _ in points)


@settings(max_examples=60)
@given(graphs())
def test_every_picture_is_complete_and_sound(graph: Graph) -> None:
    nodes = [node for _, node in graph.walk()]

    root = ElementTree.fromstring(to_svg(graph))  # noqa: S314  our own
    drawn = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {node.id for node in nodes} <= set(drawn)

    mermaid = to_mermaid(graph)
    assert mermaid.isascii()
    for node in nodes:
        assert f'"{node.id}<br/>' in mermaid
    assert len(re.findall(r"^ *subgraph ", mermaid, re.MULTILINE)) == len(
        re.findall(r"^ *end$", mermaid, re.MULTILINE)
    )

    lines = to_text(graph).removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    told = [line.split()[0] for line in lines[1:]]
    assert [name for name in told if name not in ("then", "otherwise", "step", "until", "->")] == [
        node.id for node in nodes if node.id not in ("then", "otherwise", "step", "until")
    ]
