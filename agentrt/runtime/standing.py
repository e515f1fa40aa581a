"""`Standing`: what a plan knows of a call among those of its program."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.ir.plan import NodePlan, Retention


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a call that no plan knows, nothing.

    Attributes:
        precedence: Of waiting calls of its program that with the most goes first.
        is_in_fan_out: Others of its program begin as it does: it is streamed where the server can, so
            that they can follow at its first token.
        retention: What is known of its context's next use; None: nothing.
        stable_chars: Of its prompt, from its start, that are the same in every run.
    """

    precedence: float = 0.0
    is_in_fan_out: bool = False
    retention: Retention | None = None
    stable_chars: int = 0


ALONE = Standing()


def standing_of(plan: NodePlan) -> Standing:
    """Of a call that a node with this plan makes."""
    return Standing(
        precedence=plan.precedence,
        is_in_fan_out=plan.fan_out is not None,
        retention=plan.retention,
        stable_chars=plan.static_prefix_chars,
    )
