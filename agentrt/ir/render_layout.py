"""Where boxes of a directed acyclic graph go in a picture: in layers, from left to right.

The classic layered method: each node one layer after what it reads; edges that cross layers get a
place of their own in each, so that they run around boxes and not through them; within a layer,
order and height follow the neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
_Item: TypeAlias = tuple[str, int]
"""A box, or the place where an edge from it passes a later layer: (node, layer)."""

LAYER_GAP = 46.0
ITEM_GAP = 14.0
_PASSAGE_HEIGHT = 6.0
_ORDER_SWEEPS = 8
_HEIGHT_SWEEPS = 10
# Past this many, edges are drawn straight through: the picture is beyond reading anyway.
_MAX_PASSAGES = 5_000


@dataclass(frozen=True, slots=True)
class Size:
    """In pixels."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes and edges, placed.

    Attributes:
        corners: The upper left corner of each box.
        routes: For each edge, the points it runs through, from the right side of one box to the
            left side of the other.
    """

    size: Size
    corners: Mapping[str, Point]
    routes: Mapping[tuple[str, str], tuple[Point, ...]]


def arrange(sizes: Mapping[str, Size], reads: Mapping[str, Sequence[str]]) -> Layout:
    """Place boxes of these sizes; `reads` has each after what it reads."""
    layers = _layers(reads)
    net = _Net(reads, layers)
    middles = _middles(net, sizes)
    return _placed(net, sizes, middles)


class _Net:
    """The layers with everything in them, and who is whose neighbour in the layers beside."""

    def __init__(self, reads: Mapping[str, Sequence[str]], layer_of: Mapping[str, int]) -> None:
        self.reads = reads
        self.layer_of = layer_of
        self.layers: list[list[_Item]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
        self.left: dict[_Item, list[_Item]] = {}
        self.right: dict[_Item, list[_Item]] = {}
        last = dict(layer_of)  # the layer up to which each node's edges run side by side as one
        for reader, read_ids in reads.items():
            for read in read_ids:
                last[read] = max(last[read], layer_of[reader] - 1)
        self.has_passages = sum(last.values()) - sum(layer_of.values()) <= _MAX_PASSAGES
        for node, layer in layer_of.items():
            self._add((node, layer))
            if self.has_passages:
                for passage in range(layer + 1, last[node] + 1):
                    self._add((node, passage))
                    self._join((node, passage - 1), (node, passage))
        for reader, read_ids in reads.items():
            for read in read_ids:
                nearest = layer_of[reader] - 1 if self.has_passages else layer_of[read]
                self._join((read, nearest), (reader, layer_of[reader]))
        self._order()

    def _add(self, item: _Item) -> None:
        self.layers[item[1]].append(item)
        self.left[item] = []
        self.right[item] = []

    def _join(self, one: _Item, other: _Item) -> None:
        self.right[one].append(other)
        self.left[other].append(one)

    def _order(self) -> None:
        """Sort each layer by where its neighbours are, back and forth: fewer edges cross."""
        place = {
            item: _share(index, len(layer))
            for layer in self.layers
            for index, item in enumerate(layer)
        }
        for sweep in range(_ORDER_SWEEPS):
            is_forward = sweep % 2 == 0
            beside = self.left if is_forward else self.right
            for layer in self.layers if is_forward else reversed(self.layers):
                wish = {
                    item: _mean((place[n] for n in beside[item]), place[item]) for item in layer
                }
                layer.sort(key=wish.__getitem__)
                place.update((item, _share(index, len(layer))) for index, item in enumerate(layer))

    def is_box(self, item: _Item) -> bool:
        return self.layer_of[item[0]] == item[1]


def _layers(reads: Mapping[str, Sequence[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for node, read_ids in reads.items():
        found[node] = 1 + max((found[read] for read in read_ids), default=-1)
    # What reads nothing goes next to its first reader: a short edge instead of a long one.
    first_reader: dict[str, int] = {}
    for node, read_ids in reads.items():
        for read in read_ids:
            first_reader[read] = min(first_reader.get(read, found[node]), found[node])
    for node, read_ids in reads.items():
        if not read_ids and node in first_reader:
            found[node] = first_reader[node] - 1
    return found


def _middles(net: _Net, sizes: Mapping[str, Size]) -> dict[_Item, float]:
    """The height of each item's middle line."""
    height = {
        item: sizes[item[0]].height if net.is_box(item) else _PASSAGE_HEIGHT
        for layer in net.layers
        for item in layer
    }
    middles = dict.fromkeys(height, 0.0)
    for sweep in range(_HEIGHT_SWEEPS):
        is_forward = sweep % 2 == 0
        for layer in net.layers if is_forward else reversed(net.layers):
            near = net.left if is_forward else net.right
            # The last sweeps look both ways, so that a node sits between its inputs and readers.
            is_last = sweep >= _HEIGHT_SWEEPS - 2
            wishes = [
                _mean(
                    (middles[n] for n in (net.left[i] + net.right[i] if is_last else near[i])),
                    middles[i],
                )
                for i in layer
            ]
            middles.update(zip(layer, _apart(wishes, [height[i] for i in layer]), strict=True))
    return middles


def _apart(wishes: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Middles as near to `wishes` as can be (least squares), in this order, `ITEM_GAP` apart.

    Pool adjacent violators: items that would overlap move together, to the mean of their wishes.
    """
    offsets = [0.0]
    for above, below in pairwise(heights):
        offsets.append(offsets[-1] + (above + below) / 2 + ITEM_GAP)
    pools: list[tuple[float, int]] = []  # (sum of wishes less offsets, how many)
    for wish, offset in zip(wishes, offsets, strict=False):
        total, size = wish - offset, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / size:
            above_total, above_size = pools.pop()
            total, size = total + above_total, size + above_size
        pools.append((total, size))
    bases = [total / size for total, size in pools for _ in range(size)]
    return [base + offset for base, offset in zip(bases, offsets, strict=False)]


def _placed(net: _Net, sizes: Mapping[str, Size], middles: Mapping[_Item, float]) -> Layout:
    boxes = [[item for item in layer if net.is_box(item)] for layer in net.layers]
    widths = [max((sizes[node].width for node, _ in layer), default=0.0) for layer in boxes]
    starts = [0.0]
    for width in widths:
        starts.append(starts[-1] + width + LAYER_GAP)
    corners: dict[str, Point] = {}
    for node, layer in net.layer_of.items():
        left = starts[layer] + (widths[layer] - sizes[node].width) / 2
        corners[node] = (left, middles[node, layer] - sizes[node].height / 2)
    lowest = [y + sizes[node].height for node, (_, y) in corners.items()]
    top = min([*(y for _, y in corners.values()), *middles.values()], default=0.0)
    bottom = max([*lowest, *middles.values()], default=0.0)
    routes: dict[tuple[str, str], tuple[Point, ...]] = {}
    for reader, read_ids in net.reads.items():
        for read in read_ids:
            first, last = net.layer_of[read], net.layer_of[reader]
            right = corners[read][0] + sizes[read].width
            points = [(right, middles[read, first] - top)]
            for layer in range(first + 1, last) if net.has_passages else ():
                y = middles[read, layer] - top
                points += [(starts[layer], y), (starts[layer] + widths[layer], y)]
            points.append((corners[reader][0], middles[reader, last] - top))
            routes[read, reader] = tuple(points)
    return Layout(
        Size(max(starts[-1] - LAYER_GAP, 0.0), bottom - top),
        {node: (x, y - top) for node, (x, y) in corners.items()},
        routes,
    )


def _share(index: int, count: int) -> float:
    return (index + 0.5) / count


def _mean(values: Iterable[float], otherwise: float) -> float:
    found = list(values)
    return sum(found) / len(found) if found else otherwise
