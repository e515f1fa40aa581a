"""Workloads: read from files, made up from parameters, timed, described. No I/O: lines in, data out."""

from agentrt.simulator.workloads.arrivals import (
    Arrivals,
    Bursty,
    ClosedLoop,
    Poisson,
    with_arrivals,
    without_arrivals,
)
from agentrt.simulator.workloads.fit import fitted
from agentrt.simulator.workloads.format import read, write
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.parameters import Parameters, SubAgents, ToolUse, WorkflowShape
from agentrt.simulator.workloads.presets import PRESETS, preset
from agentrt.simulator.workloads.pressure import (
    arrival_rate_per_s,
    live_blocks,
    programs_at_once,
)
from agentrt.simulator.workloads.quantiles import Quantiles, log_normal
from agentrt.simulator.workloads.recognise import (
    FORMATS,
    format_of_lines,
    format_of_name,
    read_as,
)
from agentrt.simulator.workloads.summary import Summary, summarise
from agentrt.simulator.workloads.tenants import with_deadlines, with_tenants
from agentrt.simulator.workloads.waits import with_waits_cut

__all__ = [
    "FORMATS",
    "PRESETS",
    "Arrivals",
    "Bursty",
    "ClosedLoop",
    "Parameters",
    "Poisson",
    "Quantiles",
    "SubAgents",
    "Summary",
    "ToolUse",
    "WorkflowShape",
    "arrival_rate_per_s",
    "fitted",
    "format_of_lines",
    "format_of_name",
    "generate",
    "live_blocks",
    "log_normal",
    "preset",
    "programs_at_once",
    "read",
    "read_as",
    "summarise",
    "with_arrivals",
    "with_deadlines",
    "with_tenants",
    "with_waits_cut",
    "without_arrivals",
    "write",
]
