from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt import errors
from agentrt.backends.recorded_entry import Entry, content_of, dump, load
from agentrt.backends.recording import RecordingBackend, ReplayBackend
from agentrt.backends.scripted import ScriptedBackend
from agentrt.errors import BackendError, RateLimited, ReplayMismatch, StoreError
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Capabilities, Chunk, Completion, Message, Request, ToolCall, Usage
from agentrt.ir.tool import ToolSpec


def ask(text: str = "hello", *, node_id: str = "n", **fields: object) -> Request:
    return Request(messages=(Message("user", text),), node_id=node_id, **fields)  # type: ignore[arg-type]


async def outcomes(backend: RecordingBackend | ReplayBackend, *requests: Request) -> list[object]:
    seen: list[object] = []
    for request in requests:
        chunks: list[str] = []

        def keep(chunk: Chunk, chunks: list[str] = chunks) -> None:
            chunks.append(chunk.text)

        try:
            seen.append((await backend.complete(request, on_chunk=keep), chunks))
        except BackendError as error:
            seen.append((type(error), str(error), error.retry_after_s, error.status, chunks))
    return seen


async def test_a_replay_equals_the_recording_chunks_and_errors_included(tmp_path: Path) -> None:
    call = ToolCall("c", "search", '{"q": "\ud800 é"}')
    said: list[str | Completion | Exception] = [
        "first words",
        RateLimited("slow", retry_after_s=0.125, status=429),
        Completion(tool_calls=(call,), finish_reason="tool_calls", usage=Usage(3, 2, 1)),
        "again",
    ]
    file = tmp_path / "deep" / "r.jsonl"
    recording = RecordingBackend(ScriptedBackend(said, latency_s=0.001), file)
    requests = [ask("same"), ask("same"), ask("other"), ask("same")]
    capabilities = await recording.capabilities()
    recorded = await outcomes(recording, *requests)
    await recording.aclose()

    replay = ReplayBackend(file)
    assert await replay.capabilities() == capabilities
    assert await outcomes(replay, *requests) == recorded
    assert len(recorded) == 4


async def test_ids_and_limits_do_not_matter_and_content_does(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recording = RecordingBackend(ScriptedBackend("x"), file)
    await recording.complete(ask(node_id="a", program_id="p", options=LLMOptions(timeout_s=1)))
    await recording.aclose()
    options = LLMOptions(timeout_s=9, retries=0, output_retries=0)

    assert (await ReplayBackend(file).complete(ask(node_id="b", options=options))).text == "x"
    for other in (
        ask(options=LLMOptions(temperature=1.0)),
        ask(options=LLMOptions(model="m")),
        ask(tools=(ToolSpec(name="t"),)),
        ask(output_schema={"type": "object"}),
        ask(extra={"top_p": 0.5}),
    ):
        with pytest.raises(ReplayMismatch):
            await ReplayBackend(file).complete(other)


async def test_a_mismatch_names_the_node_and_the_first_difference(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recording = RecordingBackend(ScriptedBackend("x"), file)
    await recording.complete(ask("Summarise the first document.", node_id="map[0].sum"))
    await recording.complete(ask("Something else entirely", node_id="other"))
    await recording.aclose()

    with pytest.raises(ReplayMismatch) as caught:
        await ReplayBackend(file).complete(ask("Summarise the next document.", node_id="map[1].s"))

    assert str(caught.value) == (
        "node 'map[1].s' asks for what was not recorded; against the nearest recorded request "
        "(of 'map[0].sum'), messages[0].content differs from character 14 on: was "
        "'Summarise the first document.' and is now 'Summarise the next document.' "
        f"({file})"
    )
    assert not caught.value.retryable


async def test_asking_more_often_than_recorded_is_a_mismatch(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recording = RecordingBackend(ScriptedBackend("x"), file)
    await recording.complete(ask())
    await recording.aclose()
    replay = ReplayBackend(file)
    await replay.complete(ask())

    with pytest.raises(ReplayMismatch, match="recorded 1 times once more"):
        await replay.complete(ask())


async def test_what_changed_is_named_wherever_it_is(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recording = RecordingBackend(ScriptedBackend("x"), file)
    await recording.complete(ask())
    await recording.aclose()
    two = Request(messages=(Message("user", "hello"), Message("user", "more")), node_id="n")
    for request, said in (
        (two, r"messages has 1 entries in the recording and 2 now"),
        (ask(options=LLMOptions(max_tokens=5)), r"options.max_tokens was null and is now 5"),
        (ask(tools=(ToolSpec(name="t"),)), r"tools has 0 entries in the recording and 1 now"),
        (ask(output_schema={"a": 1}), r'output_schema was null and is now \{"a":1\}'),
    ):
        with pytest.raises(ReplayMismatch, match=said):
            await ReplayBackend(file).complete(request)


async def test_an_answer_recorded_whole_replays_as_one_chunk(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recording = RecordingBackend(ScriptedBackend("two words"), file)
    await recording.complete(ask())
    await recording.aclose()
    chunks: list[Chunk] = []

    await ReplayBackend(file).complete(ask(), on_chunk=chunks.append)

    assert chunks == [Chunk("two words")]


async def test_every_answer_is_in_the_file_before_it_is_given_out(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recording = RecordingBackend(ScriptedBackend("x"), file)
    for count in range(1, 4):
        await recording.complete(ask())
        assert len(file.read_bytes().splitlines()) == count
        assert file.read_bytes().endswith(b"\n")
    await recording.aclose()


async def test_a_recording_goes_on_after_a_crash_cut_its_last_line(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    first = RecordingBackend(ScriptedBackend("one"), file)
    await first.complete(ask("1"))
    await first.aclose()
    with file.open("ab") as cut:
        cut.write(b'{"node_id":"n","requ')

    with pytest.raises(StoreError, match=r"line 2 of .*r\.jsonl is cut off"):
        ReplayBackend(file)
    second = RecordingBackend(ScriptedBackend("two"), file)
    await second.complete(ask("2"))
    await second.aclose()

    replay = ReplayBackend(file)
    assert [(await replay.complete(ask(text))).text for text in "12"] == ["one", "two"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"not json",
        b"\xff\xff",
        b'{"node_id": "n", "request": {}, "chunks": null, "completion": {}}',
        b'{"node_id": "n", "request": {}, "chunks": null, "error": {"type": "ValueError"}}',
        b'{"node_id": "n", "request": {}, "chunks": [1], "completion": null}',
        b'{"capabilities": 3}',
        b"[" * 100_000,
    ],
    ids=lambda line: line[:30].decode(errors="replace"),
)
def test_a_damaged_line_is_named(line: bytes, tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    good = dump(Entry(node_id="n", content={}, outcome=Completion(text="x"))).encode()
    file.write_bytes(good + b"\n" + line + b"\n" + good + b"\n")

    with pytest.raises(StoreError, match=r"line 2 of .*r\.jsonl is damaged"):
        ReplayBackend(file)


def test_a_recording_that_is_not_there_or_not_writable_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the recording"):
        ReplayBackend(tmp_path / "missing.jsonl")
    with pytest.raises(StoreError, match="cannot write a recording"):
        RecordingBackend(ScriptedBackend("x"), tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
async def test_a_full_disk_is_told_and_a_closed_recording_too(tmp_path: Path) -> None:
    recording = RecordingBackend(ScriptedBackend("x"), tmp_path / "r.jsonl")
    await recording.aclose()
    await recording.aclose()
    with pytest.raises(StoreError, match="is closed"):
        await recording.complete(ask())

    recording._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115, ASYNC230
    with pytest.raises(StoreError, match=r"No space left on device; make room"):
        await recording.complete(ask())
    await recording.aclose()


async def test_capabilities_replay_as_they_changed(tmp_path: Path) -> None:
    class Learning(ScriptedBackend):
        takes_schema = True

        async def capabilities(self) -> Capabilities:
            return Capabilities(json_schema=self.takes_schema)

    inner = Learning("x")
    recording = RecordingBackend(inner, tmp_path / "r.jsonl")
    assert (await recording.capabilities()).json_schema
    assert (await recording.capabilities()).json_schema
    await recording.complete(ask())
    inner.takes_schema = False
    assert not (await recording.capabilities()).json_schema
    await recording.aclose()

    replay = ReplayBackend(tmp_path / "r.jsonl")
    assert (await replay.capabilities()).json_schema
    await replay.complete(ask())
    assert not (await replay.capabilities()).json_schema


@given(
    text=st.text(),
    name=st.text(),
    ttft_s=st.none() | st.floats(0, 1e6),
    chunks=st.none() | st.lists(st.text()).map(tuple),
    counts=st.tuples(*[st.integers(0, 10**9)] * 3),
)
def test_entries_survive_being_written(
    text: str,
    name: str,
    ttft_s: float | None,
    chunks: tuple[str, ...] | None,
    counts: tuple[int, int, int],
) -> None:
    entry = Entry(
        node_id=name,
        content=json.loads(json.dumps(content_of(ask(text)))),
        outcome=Completion(
            text=text,
            tool_calls=(ToolCall(name, name, text),),
            usage=Usage(*counts),
            model=name,
            ttft_s=ttft_s,
        ),
        chunks=chunks,
    )

    line = dump(entry)

    assert "\n" not in line
    assert load(line) == entry


def test_every_backend_error_can_be_recorded() -> None:
    kinds = [
        kind
        for name in errors.__all__
        if isinstance(kind := getattr(errors, name), type) and issubclass(kind, BackendError)
    ]
    for kind in kinds:
        error = kind("why", url="u", retryable=True, retry_after_s=1.5, status=418)
        loaded = load(dump(Entry(node_id="n", content={}, outcome=error)))
        assert isinstance(loaded, Entry)
        assert type(loaded.outcome) is kind
        assert (str(loaded.outcome), vars(loaded.outcome)) == ("why", vars(error))
    assert len(kinds) >= 9


async def test_of_a_recorded_server_no_prefix_is_asked_to_be_used_again(tmp_path: Path) -> None:
    class Sharing(ScriptedBackend):
        async def capabilities(self) -> Capabilities:
            return Capabilities(kv_tokens=1000, shares_prefixes=True)

    recording = RecordingBackend(Sharing("hi"), tmp_path / "r.jsonl")
    assert await recording.capabilities() == Capabilities(kv_tokens=1000)
    await recording.aclose()
    replay = ReplayBackend(tmp_path / "r.jsonl")
    assert await replay.capabilities() == Capabilities(kv_tokens=1000)
    await replay.aclose()
