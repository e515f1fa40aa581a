import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.recorded_entry import Entry, content_of, dump
from agentrt.cli.drafting_advice import advice_json, advice_lines, expected_of, flags
from agentrt.cli.failure import UsageError
from agentrt.cli.traffic import recorded_traffic
from agentrt.errors import InputError
from agentrt.ir.request import Completion, Message, Request, ToolCall

FILE = "def load(path):\n    return [int(line) for line in open(path)]\n" * 3
COPIED = ("edit", f"Return this file.\n{FILE}", FILE)
FREE = (
    "chat",
    "Why is the sky blue?",
    "Short waves are scattered by air much more than long ones.",
)


def _written(tmp_path: Path, *lines: object) -> str:
    path = tmp_path / "traffic.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_a_conversation_is_one_exchange_for_each_answer(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": [{"type": "text", "text": "T"}]},
        {"role": "assistant", "content": "A"},
        "no message",
    ]
    found = list(recorded_traffic(_written(tmp_path, {"workflow": "fix", "messages": messages})))
    calls = '[{"id":"1"}]'
    tool = '[{"text":"T","type":"text"}]'
    assert found == [("fix", "SU", calls), ("fix", f"SU{calls}{tool}", "A")]


def test_prompts_with_answers_and_sessions_of_them_are_read_compressed_too(tmp_path: Path) -> None:
    turns = [
        {"keep": 0, "tail": "user: hello", "output": "hi"},
        {"keep": 6, "tail": "again", "output": "yes"},
    ]
    lines = [{"kind": "one", "prompt": "P", "answer": {"b": 1}}, {"turns": turns}, {"other": 1}]
    path = tmp_path / "traffic.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    assert list(recorded_traffic(str(path))) == [
        ("one", "P", '{"b":1}'),
        ("", "user: hello", "hi"),
        ("", "user: again", "yes"),
    ]


def test_line_ends_of_unicode_are_text(tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    path.write_text('{"prompt": "P\u2028Q", "answer": "A\x85"}\r\n', newline="")
    assert list(recorded_traffic(str(path))) == [("", "P\u2028Q", "A\x85")]


def test_a_recording_of_our_own_is_traffic(tmp_path: Path) -> None:
    request = Request(messages=(Message("system", "S"), Message("user", "U")))
    answer = Completion(text="A", tool_calls=(ToolCall("1", "f", "{}"),))
    entry = Entry(node_id="fix[2].llm", content=content_of(request), outcome=answer)
    path = tmp_path / "recording.jsonl"
    path.write_text(dump(entry) + "\n")
    ((kind, prompt, text),) = recorded_traffic(str(path))
    assert (kind, prompt, text[0]) == ("fix", "SU", "A")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no answer with text"),
        (b'{"messages": []}\n', "no answer with text"),
        (b"[1]\n", "line 1: not an object"),
        (b"{\n", "no lines of JSON"),
        (b"\xff\xfe\n", "no lines of JSON"),
        (b"[" * 100_000, "no lines of JSON"),
        (b"\x1f\x8b\x08cut", "no lines of JSON"),
        (b'{"turns": [{"keep": 0}]}\n', "a turn without keep, tail and output"),
        (b'{"turns": ["x"]}\n', "a turn without keep, tail and output"),
        (b'{"turns": [{"keep": 1e999, "tail": "", "output": ""}]}\n', "a turn without keep"),
        (gzip.compress(bytes(99), mtime=0)[:10] + b"\xff" * 9, "no lines of JSON"),
    ],
)
def test_files_that_are_no_traffic_are_refused_with_the_reason(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises((InputError, UsageError), match=says):
        list(recorded_traffic(str(path)))


def test_copies_gain_more_than_free_text_and_both_are_told_apart() -> None:
    whole, edit, chat = expected_of([COPIED, FREE])
    assert [row.kind for row in (whole, edit, chat)] == ["all", "edit", "chat"]
    assert edit.gains[0] > edit.gains[1] > 2
    assert chat.gains == (1.0, 1.0)
    assert whole.counts == edit.counts + chat.counts


def test_of_one_kind_there_is_one_line() -> None:
    assert [row.kind for row in expected_of([COPIED, COPIED])] == ["all"]


def test_flags_are_those_of_the_server_that_was_found() -> None:
    expected = expected_of([COPIED])
    ngram = expected[0].ngram
    vllm = flags("vLLM", ngram=ngram)
    config = json.loads(vllm.removeprefix("--speculative-config ").strip("'"))
    assert config == {
        "method": "ngram",
        "num_speculative_tokens": 8,
        "prompt_lookup_max": ngram,
        "prompt_lookup_min": ngram,
    }
    assert f"  vLLM: {vllm}" in advice_lines("vllm 0.32", expected)
    assert [line for line in advice_lines("sglang", expected) if "vLLM" in line] == []
    assert set(advice_json("", expected)["flags"]) == {"vLLM", "SGLang"}
    assert advice_json("llama.cpp (xllamacpp 1)", expected)["flags"] == {}


def test_traffic_that_gains_nothing_is_told_to_leave_it_off() -> None:
    lines = advice_lines("vLLM", expected_of([FREE]))
    assert lines[-1] == "  it does not pay for this traffic: leave it off"
    assert not any("--speculative" in line for line in lines)


def test_without_traffic_there_are_flags_and_how_to_find_the_gain() -> None:
    *_, flag, hint = advice_lines("vLLM 0.32", [])
    assert flag.startswith("  vLLM: --speculative-config")
    assert "--traffic" in hint


texts = st.text(alphabet="ab \n", max_size=40)


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), texts, texts), min_size=1, max_size=5))
def test_any_traffic_has_lines_and_no_expected_gain_is_negative(
    traffic: list[tuple[str, str, str]],
) -> None:
    expected = expected_of(traffic)
    assert all(min(row.gains) > 0 for row in expected)
    assert advice_lines("", expected)
    json.dumps(advice_json("", expected), allow_nan=False)
