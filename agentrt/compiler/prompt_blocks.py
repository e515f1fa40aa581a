"""Prompts taken apart into blocks that can be moved without breaking what is inside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from agentrt.compiler.prompt_marks import Marks
from agentrt.ir.expression import Slot, Template, Text
from agentrt.ir.prompt_origin import Levels, part_stability
from agentrt.ir.stability import Stability, least_stable

_PARAGRAPH_END: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*)+(?=\S|$)")
_LINE_END: Final = re.compile(r"\n")
# After a word or a value: not after the number of an item, nor an abbreviation.
_SENTENCE_END: Final = re.compile(r"(?:(?<=[a-z]{3}[.!?])|(?<=\A[.!?]))[ \t]+(?=[A-Z]|$)")
_LETTER: Final = re.compile(r"[^\W\d_]")
_STRUCTURE: Final = re.compile(r"\s*(?:<|```|~~~|[\[{(]|\|)")
_HEADING: Final = re.compile(r"[ \t]*#{1,6}[ \t]")
_LABEL: Final = re.compile(r".*:|[ \t]*\*\*.+\*\*", re.DOTALL)
_LABELLED: Final = re.compile(r"[ \t]*[^\W\d_][\w /-]{0,30}:(?=\s|\ufffc|$)")
_NUMBERED: Final = re.compile(r"[ \t]*\d+[.)][ \t]")
_VALUE: Final = "\ufffc"
PARAGRAPH: Final = "\n\n"

Parts = tuple[Text | Slot, ...]
Position: TypeAlias = tuple[int, int, int]
"""Where a block was: which template of a prompt, which paragraph of that, which block of both."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a line or a sentence; `separator` is what followed it where it was."""

    parts: Parts
    separator: str = ""

    @property
    def content(self) -> str:
        """The same for blocks that say the same."""
        return repr(self.parts)  # constants in them may be lists, which cannot be hashed

    def stability(self, levels: Levels) -> Stability:
        """That of its least stable part."""
        return least_stable(part_stability(part, levels) for part in self.parts)


def blocks_of(template: Template) -> tuple[Block, ...]:
    """The blocks of `template`, which `join_as_they_were` puts together again.

    Paragraphs. One that holds values is cut into its lines where each value has its label in its own
    line (`Date: {date}`), and those into sentences likewise; nothing is cut inside tags, fences or
    brackets, or around a value that stands alone in its line. What announces something stays with
    it: a heading with its section, a line that ends in a colon with what comes next, a numbered item
    with those beside it, what is indented with what it is under, and lines with labels with each
    other (`Q: ...`, `A: ...`).
    """
    found: list[Block] = []
    for paragraph in _together(_closed(_split(template.parts, _PARAGRAPH_END))):
        found += _finer(paragraph, _LINE_END, _SENTENCE_END)
    return tuple(found)


def join_as_they_were(blocks: Sequence[Block]) -> Template:
    """With the separators that followed each."""
    return _template(part for block in blocks for part in (*block.parts, Text(block.separator)))


def join_moved(blocks: Sequence[tuple[Block, Position]], *, cut: int = 0) -> Template:
    """Blocks in a new order. What stood before another still does with what was between them.

    Args:
        blocks: Each with where it was.
        cut: The first so many are a paragraph of their own.
    """
    parts: list[Text | Slot] = []
    for index, (block, position) in enumerate(blocks):
        parts += block.parts
        if index + 1 == len(blocks):
            break
        following = blocks[index + 1][1]
        is_after = following > position and (
            following[:2] == position[:2] or (following[0], following[2] - 1) == position[::2]
        )
        parts.append(Text((block.separator if is_after and index + 1 != cut else "") or PARAGRAPH))
    return _template(parts)


def placed(blocks: Sequence[Block], *, template: int) -> list[tuple[Block, Position]]:
    """Blocks of a template, each with where it is."""
    found: list[tuple[Block, Position]] = []
    paragraph = 0
    for at, block in enumerate(blocks):
        found.append((block, (template, paragraph, at)))
        paragraph += _PARAGRAPH_END.match(block.separator) is not None
    return found


def _closed(paragraphs: Sequence[Block]) -> list[Block]:
    """Paragraphs or lines, joined where a tag, a fence or a bracket is opened in one and closed in another."""
    texts = ["".join(p.text for p in each.parts if isinstance(p, Text)) for each in paragraphs]
    marks = Marks(texts)
    groups: list[list[Block]] = []
    for paragraph, text in zip(paragraphs, texts, strict=True):
        if marks.are_open:
            groups[-1].append(paragraph)
        else:
            groups.append([paragraph])
            marks.forget()
        marks.read(text)
    return [_joined(*group) for group in groups]


def is_cue(block: Block) -> bool:
    """Whether it is there to be gone on with (`Answer:`, `# Answer`), and so belongs at the very end."""
    shown = _shown(block).rstrip()
    return shown.endswith(":") or _HEADING.match(shown.rpartition("\n")[2]) is not None


def _together(pieces: Iterable[Block]) -> list[Block]:
    """Paragraphs or lines, joined where one would say nothing, or something else, without the other."""
    groups: list[list[Block]] = []
    is_section = False
    least_indent = 0
    for piece in pieces:
        text = _shown(piece)
        separator = groups[-1][-1].separator if groups else "\n"
        is_heading = _HEADING.match(text) is not None
        indent = _indent(separator, text)
        if groups and (
            _announces(_shown(groups[-1][-1]))
            or (is_section and not is_heading)
            or indent > least_indent
            or _goes_on(groups[-1], text, is_line=separator.count("\n") == 1)
        ):
            groups[-1].append(piece)
        else:
            groups.append([piece])
            least_indent = indent
        is_section = is_section or is_heading
    return [_joined(*group) for group in groups]


def _goes_on(group: Sequence[Block], text: str, *, is_line: bool) -> bool:
    """Whether `text` is of a row that `group` has begun: items with numbers, lines with labels."""
    kinds = (_NUMBERED, _LABELLED) if is_line else (_NUMBERED,)
    before = [_shown(group[0]), _shown(group[-1])]
    return any(kind.match(text) and any(map(kind.match, before)) for kind in kinds)


def _indent(separator: str, text: str) -> int:
    """White space at the start of a line or paragraph; of a sentence none."""
    before = separator.rpartition("\n")[2] if "\n" in separator else ""
    return len(before) + len(text) - len(text.lstrip(" \t"))


def _announces(text: str) -> bool:
    last = text.rstrip().rpartition("\n")[2]
    return _HEADING.match(last) is not None or _LABEL.fullmatch(last) is not None


def _joined(*blocks: Block) -> Block:
    parts = [part for block in blocks for part in (*block.parts, Text(block.separator))]
    return Block(tuple(parts[:-1]), blocks[-1].separator)


def _shown(block: Block) -> str:
    return "".join(part.text if isinstance(part, Text) else _VALUE for part in block.parts)


def _finer(block: Block, pattern: re.Pattern[str], *patterns: re.Pattern[str]) -> list[Block]:
    """`block`, cut at `pattern` and then further, where that is safe."""
    shown = _shown(block)
    is_lines = "\n" in shown or _NUMBERED.match(shown) is not None
    if _VALUE not in shown or is_cue(block) or (is_lines and not patterns):
        return [block]
    pieces = _together(_closed(_split(block.parts, pattern)))
    if not all(_is_whole(piece) for piece in pieces):
        pieces = [Block(block.parts)]
    if patterns:
        pieces = [finer for piece in pieces for finer in _finer(piece, *patterns)]
    elif all(_is_whole(piece) for piece in pieces):
        pieces = [finer for piece in pieces for finer in _around_marked(piece)]
    last = pieces[-1]
    return [*pieces[:-1], Block(last.parts, last.separator + block.separator)]


def _around_marked(block: Block) -> list[Block]:
    """`block`, cut around texts that an author has marked as one piece: they say what they are."""
    found: list[Block] = []
    current: list[Text | Slot] = []
    for index, part in enumerate(block.parts):
        before = block.parts[index - 1] if index else None
        after = block.parts[index + 1] if index + 1 < len(block.parts) else None
        if _is_marked_text(part) and _ends(before) and _begins(after):
            if current:
                found.append(_without_end(current))
            found.append(Block((part,)))
            current = []
        elif not current and found and isinstance(part, Text):
            text = part.text.lstrip()
            space = part.text[: len(part.text) - len(text)]
            found[-1] = Block(found[-1].parts, found[-1].separator + space)
            current = [Text(text)] if text else []
        else:
            current.append(part)
    if current:
        found.append(Block(tuple(current)))
    last = found[-1]
    return [*found[:-1], Block(last.parts, last.separator + block.separator)]


def _without_end(parts: list[Text | Slot]) -> Block:
    """White space at the end is what separates it from the next."""
    last = parts[-1]
    if not isinstance(last, Text) or not last.text.strip():
        return Block(tuple(parts))
    text = last.text.rstrip()
    return Block((*parts[:-1], Text(text)), last.text[len(text) :])


def _is_marked_text(part: Text | Slot) -> bool:
    is_text = isinstance(part, Slot) and isinstance(part.expression, Template)
    return is_text and isinstance(part, Slot) and part.stability is not None


def _ends(before: Text | Slot | None) -> bool:
    return before is None or (isinstance(before, Text) and before.text[-1:].isspace())


def _begins(after: Text | Slot | None) -> bool:
    return after is None or (isinstance(after, Text) and after.text[:1].isspace())


def _is_whole(block: Block) -> bool:
    """Whether the block says by itself what it is about."""
    first = block.parts[0] if block.parts else None
    if isinstance(first, Text) and _STRUCTURE.match(first.text):
        return False
    for part in block.parts:
        if isinstance(part, Slot):
            # What an author has marked is marked whole.
            return part.stability is not None
        if _LETTER.search(part.text):
            return True
    return True


def _split(parts: Iterable[Text | Slot], pattern: re.Pattern[str]) -> list[Block]:
    found: list[Block] = []
    current: list[Text | Slot] = []
    for part in parts:
        if isinstance(part, Slot):
            current.append(part)
            continue
        at = 0
        for match in pattern.finditer(part.text):
            if match.start() > at:
                current.append(Text(part.text[at : match.start()]))
            if current:
                found.append(Block(tuple(current), match.group()))
                current = []
            elif found:
                found[-1] = Block(found[-1].parts, found[-1].separator + match.group())
            else:
                current = [Text(match.group())]
            at = match.end()
        if part.text[at:]:
            current.append(Text(part.text[at:]))
    if current or not found:
        found.append(Block(tuple(current)))
    return found


def _template(parts: Iterable[Text | Slot]) -> Template:
    joined: list[Text | Slot] = []
    for part in parts:
        before = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(before, Text):
            joined[-1] = Text(before.text + part.text)
        elif not isinstance(part, Text) or part.text:
            joined.append(part)
    return Template(tuple(joined))
