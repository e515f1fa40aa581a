"""OpenAI's chat format as a client sees it: requests out, completions and streams in. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentrt.backends.http_errors import error_in_stream, message_in
from agentrt.backends.json_shape import is_array, is_object
from agentrt.backends.strict_schema import strict_form
from agentrt.backends.written_calls import with_readable_calls
from agentrt.errors import InvalidAnswer
from agentrt.ir.request import Completion, Message, Request, ToolCall, Usage
from agentrt.ir.tool import ToolSpec

DONE = "[DONE]"
JsonObject = dict[str, Any]


def request_body(
    request: Request,
    *,
    model: str,
    is_streamed: bool = False,
    has_schema: bool = True,
    limit_field: str = "max_tokens",
    grammar_path: tuple[str, ...] = (),
) -> JsonObject:
    """`request` as the body of POST /v1/chat/completions.

    Fields of `request.extra` are added where the request itself says nothing. The tier is never
    sent: it is resolved to a model before.

    Args:
        request: What to ask.
        model: The model's name at the server.
        is_streamed: Ask for a stream, with usage in its last chunk.
        has_schema: Whether to send the output schema, or the grammar; False where the server is
            known to refuse.
        limit_field: What the server calls the most tokens to write.
        grammar_path: Where in the body it takes a grammar; empty: nowhere.
    """
    options = request.options
    own: JsonObject = {"model": model, "messages": [message_json(m) for m in request.messages]}
    if request.tools:
        own["tools"] = [tool_json(tool) for tool in request.tools]
    if request.output_schema is not None and has_schema:
        own["response_format"] = response_format(request.output_schema)
    elif request.grammar is not None and has_schema and grammar_path:
        own |= _placed(request.grammar, grammar_path)
    optional: JsonObject = {
        limit_field: options.max_tokens,
        "temperature": options.temperature,
        "stop": list(options.stop) or None,
        "seed": options.seed,
    }
    own |= {name: value for name, value in optional.items() if value is not None}
    streaming = {"stream": True, "stream_options": {"include_usage": True}} if is_streamed else {}
    extra = {k: v for k, v in request.extra.items() if k not in {"stream", "stream_options"}}
    return extra | own | streaming


def _placed(value: Any, path: tuple[str, ...]) -> JsonObject:
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def message_json(message: Message) -> JsonObject:
    """One message. An assistant's that only calls tools has null content, as servers send it."""
    body: JsonObject = {"role": message.role, "content": message.content}
    if message.tool_calls:
        body["content"] = message.content or None
        # llama.cpp refuses the conversation where a model has once written them wrongly; vLLM 0.32
        # does not, but its chat templates take them for objects.
        calls = with_readable_calls(message).tool_calls
        body["tool_calls"] = [tool_call_json(call) for call in calls]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    return body


def tool_call_json(call: ToolCall) -> JsonObject:
    """A tool call as part of an assistant's message."""
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def tool_json(tool: ToolSpec) -> JsonObject:
    """A tool as the model is shown it."""
    function: JsonObject = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def response_format(schema: Mapping[str, Any]) -> JsonObject:
    """`strict` where the schema has a strict form; OpenAI does not constrain decoding otherwise."""
    strict = strict_form(schema)
    return {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "schema": dict(schema) if strict is None else strict,
            "strict": strict is not None,
        },
    }


def parse_json(text: str | bytes) -> Any:
    """JSON from a server.

    Raises:
        InvalidAnswer: it is none (or is nested so deeply that it must be an attack or an accident).
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        shown = text if isinstance(text, str) else text.decode(errors="replace")
        # Without its cause: a JSONDecodeError holds the whole document.
        raise InvalidAnswer(
            f"the answer is not JSON ({type(error).__name__}): {message_in(shown[:20_000])}"
        ) from None


def parse_completion(data: Any, *, url: str = "") -> Completion:
    """The JSON body of a response as a `Completion`; tolerant of what servers leave out or add.

    Raises:
        BackendError: it is an error object.
        InvalidAnswer: it is not a completion.
    """
    body = _object(data, "the answer")
    if body.get("error"):
        raise error_in_stream(body["error"], url=url)
    choice = _first_choice(body)
    if choice is None:
        raise InvalidAnswer("the answer has no choices", url=url)
    message = _object(choice.get("message"), "the choice's message")
    calls = tuple(
        _tool_call(entry, f"call_{index}")
        for index, entry in enumerate(_tool_call_entries(message))
    )
    drafted, accepted = parse_drafts(body)
    return Completion(
        text=text_of(message.get("content")),
        tool_calls=calls,
        finish_reason=finish_reason(choice.get("finish_reason"), has_calls=bool(calls)),
        usage=parse_usage(body),
        model=_string(body.get("model")),
        drafted_tokens=drafted,
        accepted_tokens=accepted,
    )


def parse_usage(body: JsonObject) -> Usage:
    """Tokens from OpenAI's `usage`, completed from llama.cpp's `timings`; 0 where nobody says."""
    usage = _dict(body.get("usage"))
    timings = _dict(body.get("timings"))
    details = _dict(usage.get("prompt_tokens_details"))
    cached = _count(details.get("cached_tokens")) or _count(timings.get("cache_n"))
    prompt = _count(usage.get("prompt_tokens"))
    if prompt == 0:
        prompt = _count(timings.get("cache_n")) + _count(timings.get("prompt_n"))
    completion = _count(usage.get("completion_tokens")) or _count(timings.get("predicted_n"))
    return Usage(prompt, min(cached, prompt), completion)


def parse_drafts(body: JsonObject) -> tuple[int, int]:
    """Tokens drafted, and those accepted, from llama.cpp's `timings`; 0 where nobody says."""
    timings = _dict(body.get("timings"))
    drafted = _count(timings.get("draft_n"))
    return drafted, min(_count(timings.get("draft_n_accepted")), drafted)


def text_of(content: Any) -> str:
    """Content as text: a string, null, or a list of parts, of which the text is taken."""
    parts = content if is_array(content) else [content]
    return "".join(_string(part.get("text") if is_object(part) else part) for part in parts)


def finish_reason(value: Any, *, has_calls: bool) -> str:
    """As the server says; "tool_calls" for the legacy name, and a guess where it says nothing."""
    if value == "function_call":
        return "tool_calls"
    return _string(value) or ("tool_calls" if has_calls else "stop")


def _tool_call_entries(message: JsonObject) -> list[Any]:
    calls = message.get("tool_calls")
    if is_array(calls) and calls:
        return calls
    legacy = message.get("function_call")
    return [{"function": legacy}] if is_object(legacy) else []


def _tool_call(entry: Any, default_id: str) -> ToolCall:
    call = _object(entry, "a tool call")
    function = _object(call.get("function"), "a tool call's function")
    return ToolCall(
        id=_string(call.get("id")) or default_id,
        name=_string(function.get("name")),
        arguments=arguments_text(function.get("arguments")),
    )


def arguments_text(arguments: Any) -> str:
    """Arguments as JSON text: some servers send them parsed."""
    if arguments is None:
        return ""
    if isinstance(arguments, str):
        return clean(arguments)
    try:
        return clean(json.dumps(arguments, ensure_ascii=False))
    except RecursionError:
        raise InvalidAnswer("a tool call's arguments are nested too deeply") from None


def clean(text: str) -> str:
    """`text` with surrogate halves joined or replaced, so that it can be encoded again."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def is_first(choice: JsonObject) -> bool:
    """Whether this is the choice agentrt reads: it never asks for several."""
    return choice.get("index") in (None, 0)


def _first_choice(body: JsonObject) -> JsonObject | None:
    choices = body.get("choices")
    for choice in choices if is_array(choices) else []:
        if is_object(choice) and is_first(choice):
            return choice
    return None


def _object(value: Any, what: str) -> JsonObject:
    if not is_object(value):
        raise InvalidAnswer(f"{what} is not a JSON object")
    return value


def _dict(value: Any) -> JsonObject:
    return value if is_object(value) else {}


def _string(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""


def _count(value: Any) -> int:
    """A number of tokens; 0 for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return int(value) if 0 <= value < 2**53 else 0
