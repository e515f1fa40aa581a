"""Digest a folder: summarise every document in parallel, then answer a question over the summaries.

agentrt run workflows/digest.py --folder docs --question "What is this about?"

The default model is tiny: it shows how the run goes, and writes as a tiny model does. For answers
worth reading give a larger one: --model qwen2.5-coder-1.5b, or --backend openai+https://...
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from pydantic import BaseModel

from agentrt import Prompt, branch, llm, tool, workflow

HERE = Path(__file__).resolve().parent
DOCS = str(HERE.parent / "docs")
QUESTION = "What are these documents about?"

# What a small model on two cores can read in half a minute: prefill is most of the time, at about
# 400 tokens/s. Counted in bytes, because no tokenizer makes more tokens than that of a text, in any
# language; of English it makes one for about four.
MAX_BYTES = 22_000
MAX_BYTES_EACH = 3_000
MAX_DOCUMENTS = 24
MAX_FILES_LOOKED_AT = 5_000
SNIFFED_BYTES = 4_096


class Document(BaseModel):
    """A file, and how much of it there is room to read."""

    path: str
    name: str
    max_bytes: int


class Listing(BaseModel):
    """The documents of a folder. `notes` says what was left out, a line for each reason."""

    folder: str
    documents: list[Document]
    has_documents: bool
    notes: list[str]


class Excerpt(BaseModel):
    """What was read of a document. `note` says what was cut."""

    name: str
    text: str
    note: str


@tool(effects="read", retries=0)
def list_documents(folder: str) -> Listing:
    """List the text files below `folder`, in order of their names, with a share of the room each."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise NotADirectoryError(f"there is no folder {folder!r}")
    found = (path for path in root.rglob("*") if path.is_file() and not is_hidden(path, root))
    paths = sorted(islice(found, MAX_FILES_LOOKED_AT))
    texts = [path for path in paths if is_text(path)]
    kept = texts[:MAX_DOCUMENTS]
    notes: list[str] = []
    if len(paths) == MAX_FILES_LOOKED_AT:
        notes.append(f"of this many files only {MAX_FILES_LOOKED_AT:,} were looked at")
    if len(texts) < len(paths):
        notes.append(f"{len(paths) - len(texts)} files are not text, or cannot be read")
    if len(kept) < len(texts):
        notes.append(f"{len(texts) - len(kept)} of {len(texts)} documents have no room")
    share = min(MAX_BYTES // max(len(kept), 1), MAX_BYTES_EACH)
    return Listing(
        folder=str(root),
        documents=[
            Document(path=str(path), name=str(path.relative_to(root)), max_bytes=share)
            for path in kept
        ],
        has_documents=bool(kept),
        notes=notes,
    )


@tool(effects="read")
def read_document(document: Document) -> Excerpt:
    """Read the beginning of a document, as much as there is room for."""
    try:
        with Path(document.path).open("rb") as file:
            read = file.read(document.max_bytes)
            is_all = not file.read(1)
        size = Path(document.path).stat().st_size
    except OSError as error:  # it was there a moment ago
        note = f"{document.name}: not read: {error.strerror}"
        return Excerpt(name=document.name, text="(unreadable)", note=note)
    note = "" if is_all else f"{document.name}: read {len(read):,} of {size:,} bytes"
    text = read.decode("utf-8", errors="replace").rstrip("\N{REPLACEMENT CHARACTER}")
    return Excerpt(name=document.name, text=text, note=note)


@llm(max_tokens=64, temperature=0.0, stop=("\n\n",))
def summarise(document: Excerpt) -> Prompt[str]:
    return Prompt(
        f"Document {document.name}:\n{document.text}\n\nSummarise this document in two sentences.",
        system="You summarise documents, briefly and in plain words.",
    )


@tool(effects="none")
def collate(excerpts: list[Excerpt], summaries: list[str]) -> str:
    """Put each summary under its document's name."""
    pairs = zip(excerpts, summaries, strict=True)
    return "\n\n".join(f"{excerpt.name}: {summary.strip()}" for excerpt, summary in pairs)


@llm(max_tokens=96, temperature=0.0, stop=("\n\n",))
def answer(question: str, summaries: str) -> Prompt[str]:
    return Prompt(
        f"Here are summaries of some documents.\n\n{summaries}\n\n{question} Answer in two sentences."
    )


@tool(effects="none")
def report(answered: str, listing: Listing, excerpts: list[Excerpt]) -> str:
    """The answer, and what it does not rest on because there was no room."""
    cut = [excerpt.note for excerpt in excerpts if excerpt.note]
    lines = [answered.strip(), "", f"Read {len(excerpts)} documents of {listing.folder}."]
    if cut or listing.notes:
        lines += ["Left out, so that a small model is done soon:"]
        lines += [f"  {note}" for note in [*listing.notes, *cut]]
    return "\n".join(lines)


@tool(effects="none")
def nothing_to_read(listing: Listing) -> str:
    """What to say of a folder without documents."""
    return "\n".join([f"There are no documents in {listing.folder}.", *listing.notes])


@workflow
def digest(folder: str = DOCS, question: str = QUESTION) -> str:
    listing = list_documents(folder)

    def read_and_answer() -> str:
        excerpts = read_document.map(listing.documents)
        summaries = summarise.map(excerpts)
        return report(answer(question, collate(excerpts, summaries)), listing, excerpts)

    return branch(listing.has_documents, read_and_answer, lambda: nothing_to_read(listing))


def is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def is_text(path: Path) -> bool:
    """Whether it looks like text: it can be named and read, is not empty, and holds no NUL."""
    try:
        str(path).encode()
        with path.open("rb") as file:
            start = file.read(SNIFFED_BYTES)
    except (OSError, UnicodeEncodeError):
        return False
    return bool(start.strip()) and b"\0" not in start
