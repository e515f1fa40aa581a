"""A few records of each format, made by hand; small enough to know what must come of them."""

from __future__ import annotations

from typing import Any

WEKA: list[dict[str, Any]] = [
    {
        "id": "trace_1",
        "block_size": 64,
        "requests": [
            {"t": 0.0, "type": "n", "in": 200, "out": 70, "input_types": ["text"], "api_time": 5.0,
             "think_time": 0.0, "keep": 0, "runs": [[1, 3]], "blocks": 3},
            {"t": 20.0, "type": "subagent", "duration_ms": 14000, "requests": [
                {"t": 0.0, "type": "n", "in": 130, "out": 10, "input_types": ["text"],
                 "api_time": 4.0, "think_time": 0.0, "keep": 0, "runs": [[8, 2]], "blocks": 2},
                {"t": 7.0, "type": "n", "in": 200, "out": 20, "input_types": ["tool_result"],
                 "api_time": 4.0, "think_time": 3.0, "keep": 2, "runs": [[10, 1]], "blocks": 3},
            ]},
            {"t": 25.0, "type": "n", "in": 400, "out": 64, "input_types": ["tool_result"],
             "api_time": 5.0, "think_time": 20.0, "keep": 3, "runs": [[4, 3]], "blocks": 6},
            {"t": 32.0, "type": "n", "in": 500, "out": 10, "input_types": ["tool_result"],
             "api_time": 2.0, "think_time": 2.0, "keep": 6, "runs": [[7, 1]], "blocks": 7},
            {"t": 94.0, "type": "s", "in": 128, "out": 10, "input_types": ["text"],
             "think_time": 60.0, "keep": 1, "runs": [[20, 1]], "blocks": 2},
        ],
    },
    {
        "id": "trace_2",
        "block_size": 64,
        "requests": [
            {"t": 0.0, "type": "n", "in": 64, "out": 0, "input_types": ["text"], "api_time": 1.0,
             "think_time": 0.0, "keep": 0, "runs": [[1, 1]], "blocks": 1},
        ],
    },
]  # fmt: skip

MOONCAKE: list[dict[str, Any]] = [
    {"timestamp": 0, "input_length": 1100, "output_length": 100, "hash_ids": [0, 1, 2]},
    {"timestamp": 500, "input_length": 600, "output_length": 10, "hash_ids": [0, 3]},
    {"timestamp": 10000, "input_length": 1600, "output_length": 50, "hash_ids": [0, 1, 4, 5]},
]

MINISWE: list[dict[str, Any]] = [
    {"session_id": "s1", "turns": [
        {"ts_us": 1000000, "keep": 0, "tail": "<pr_description>\nfix it, and then some more words",
         "output": "```bash\ncd /x && python -m pytest -q\n```", "in_tokens": 9, "out_tokens": 9},
        {"ts_us": 900000, "keep": 49, "tail": "\n\n<returncode>1</returncode>", "output": "done",
         "in_tokens": 15, "out_tokens": 1},
    ]},
]  # fmt: skip

MAGAGENT: list[dict[str, Any]] = [
    {"session_id": "m1", "turns": [
        {"ts_us": 1000000, "keep": 0, "tail": "user: plan this", "output": "step one",
         "in_tokens": 4, "out_tokens": 200},
        {"ts_us": 4000000, "keep": 0, "tail": "", "output": "lost", "in_tokens": 0,
         "out_tokens": 1},
        {"ts_us": 6000000, "keep": 0, "tail": "user: you are a worker", "output": "found",
         "in_tokens": 6, "out_tokens": 1},
        {"ts_us": 6005000, "keep": 0, "tail": "user: plan this\n\nassistant: step one\n\nuser: go",
         "output": "ok", "in_tokens": 14, "out_tokens": 1},
    ]},
]  # fmt: skip

TAU_BENCH: list[dict[str, Any]] = [
    {"task_id": 1, "trial": 0, "traj": [
        {"role": "system", "content": "You help customers of an airline."},
        {"role": "user", "content": "Hello, change my flight."},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "name": "find", "content": "flight 7"},
        {"role": "assistant", "content": "Which one?"},
        {"role": "user", "content": "The last."},
        {"role": "assistant", "content": "Done."},
    ]},
]  # fmt: skip

SWE_AGENT: list[dict[str, Any]] = [
    {"path": "a/b.traj", "prompt_messages": [
        {"role": "system", "content": "You solve tasks."},
        {"role": "user", "content": [{"type": "text", "text": "Fix it."}]},
        {"role": "assistant", "content": "I look."},
     ],
     "steps": [
        {"action": "str_replace_editor view /x", "response": "I look.", "observation": "code",
         "execution_time": 0.25},
        {"action": "python -m pytest", "response": "I test.", "observation": "passed",
         "execution_time": None},
     ]},
]  # fmt: skip

OPENHANDS: list[dict[str, Any]] = [
    {"instance_id": "i1", "response_latencies": [2.0, 3.0],
     "token_usages": [
        {"prompt_tokens": 100, "completion_tokens": 20},
        {"prompt_tokens": 200, "completion_tokens": 10},
     ],
     "events": [
        {"id": 0, "t": 0.0, "source": "agent", "action": "system",
         "args": {"content": "You are an agent with tools. " * 8}},
        {"id": 1, "t": 0.1, "source": "user", "action": "message", "args": {"content": "Go."}},
        {"id": 2, "t": 2.0, "source": "agent", "action": "run", "args": {"command": "ls -l"}},
        {"id": 3, "t": 2.5, "source": "agent", "observation": "run", "cause": 2, "tool_s": 0.5},
        {"id": 4, "t": 6.0, "source": "agent", "action": "finish", "args": {}},
     ]},
    {"instance_id": "i2", "response_latencies": [],
     "token_usages": [{"prompt_tokens": 100, "completion_tokens": 20}],
     "events": [
        {"id": 0, "t": 0.0, "source": "agent", "action": "system",
         "args": {"content": "You are an agent with tools. " * 8}},
     ]},
]  # fmt: skip

AZURE = [
    "TIMESTAMP,ContextTokens,GeneratedTokens\n",
    "2023-11-16 18:17:03.9799600,48,10\n",
    "2023-11-16 18:17:05.4799600,8,40\n",
]

SAMPLES: dict[str, list[dict[str, Any]]] = {
    "weka": WEKA,
    "mooncake": MOONCAKE,
    "lmcache_miniswe": MINISWE,
    "lmcache_magagent": MAGAGENT,
    "tau_bench": TAU_BENCH,
    "swe_agent": SWE_AGENT,
    "openhands": OPENHANDS,
}
