"""A small interpreter of GBNF, so that grammars are held to what they say."""

import re


def pattern(grammar: str) -> re.Pattern[str]:
    """The grammar as a regular expression: it has no recursion, so there is one."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.strip().split("\n"))
    token = re.compile(
        r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{\d+,\d+\}|[A-Za-z][\w-]*|[()|?*+]'
    )
    done: dict[str, str] = {}

    def translated(name: str) -> str:
        if name not in done:
            parts: list[str] = []
            for piece in token.findall(rules[name]):
                if piece.startswith('"'):
                    parts.append(re.escape(_unescaped(piece[1:-1])))
                elif piece[0].isalpha():
                    parts.append(translated(piece))
                else:
                    parts.append("(?:" if piece == "(" else piece)
            done[name] = f"(?:{''.join(parts)})"
        return done[name]

    return re.compile(translated("root"))


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)
