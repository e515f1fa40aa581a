"""Examples for prompts, in an order that lets prefix caches keep them.

After Agent-X's PromptWeaver (arXiv 2605.10380): what is used together is shown together, whole
clusters at a time and always in one order, so that few different texts come before what differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx

MOST_LABELS = 6
"""Labels in a cluster at most: Agent-X's have two to six tools."""

_FINEST = 64.0


@dataclass(frozen=True, slots=True)
class Example:
    """One worked example.

    Attributes:
        text: As the model is to read it.
        labels: What it uses: names of tools, or of anything else that calls differ by.
    """

    text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Labels that occur together, sorted, and the examples that use them, in the author's order."""

    labels: tuple[str, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class ExampleBank:
    """Examples by cluster. Those without labels come first, and are shown to all.

    Attributes:
        clusters: In the order in which they are always shown: those with the most examples first.
    """

    common: tuple[Example, ...]
    clusters: tuple[Cluster, ...]

    def text(self, active: Collection[str] | None = None) -> str:
        """The examples of the clusters that have one of the labels; None: of all of them."""
        wanted = None if active is None else set(active)
        shown = list(self.common)
        for cluster in self.clusters:
            if wanted is None or wanted.intersection(cluster.labels):
                shown += cluster.examples
        return "\n\n".join(example.text for example in shown)


def example_bank(examples: Sequence[Example]) -> ExampleBank:
    """Cluster `examples` by which labels occur together. The same for the same examples, always."""
    labelled = [example for example in examples if example.labels]
    clusters: list[Cluster] = []
    groups = _communities(_co_occurrence(labelled))
    homes = [_home(example, groups) for example in labelled]
    for index, labels in enumerate(groups):
        own = [e for e, home in zip(labelled, homes, strict=True) if home == index]
        if own:
            clusters.append(Cluster(labels, tuple(own)))
    clusters.sort(key=lambda cluster: (-len(cluster.examples), cluster.labels))
    return ExampleBank(tuple(e for e in examples if not e.labels), tuple(clusters))


def _co_occurrence(examples: Iterable[Example]) -> nx.Graph[str]:
    import networkx as nx  # noqa: PLC0415  only those who have examples pay for it

    counted: Counter[tuple[str, str]] = Counter()
    labels: set[str] = set()
    for example in examples:
        own = sorted(set(example.labels))
        labels.update(own)
        counted.update(combinations(own, 2))
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(sorted(labels))
    for (a, b), count in sorted(counted.items()):
        graph.add_edge(a, b, weight=count)
    return graph


def _communities(graph: nx.Graph[str]) -> list[tuple[str, ...]]:
    """By modularity; Agent-X factorises the matrix. Too large ones are cut finer."""
    from networkx.algorithms.community import (  # noqa: PLC0415
        greedy_modularity_communities,
    )

    found: list[tuple[str, ...]] = []
    waiting: list[tuple[list[str], float]] = [(sorted(graph.nodes), 1.0)]
    while waiting:
        labels, resolution = waiting.pop()
        part = graph.subgraph(labels)
        if not part.number_of_edges():
            found += [(label,) for label in labels]
            continue
        for community in greedy_modularity_communities(
            part, weight="weight", resolution=resolution
        ):
            own = sorted(community)
            if len(own) <= MOST_LABELS or resolution >= _FINEST:
                found.append(tuple(own))
            else:
                waiting.append((own, resolution * 2))
    return sorted(found)


def _home(example: Example, groups: Sequence[tuple[str, ...]]) -> int:
    """The cluster with most of its labels; of several, the first."""
    return max(
        range(len(groups)),
        key=lambda index: (len(set(example.labels) & set(groups[index])), -index),
    )
