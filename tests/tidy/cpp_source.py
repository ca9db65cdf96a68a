"""As much C++ as the tidy rules need: blanking comments, and finding where functions begin and end.

No parser: a scanner that follows braces and looks at the text before each. It is made for code that
clang-format has laid out; what it cannot tell it takes for no function, so it may miss a long one
in a strange place, but does not invent one.
"""

import re
from typing import Iterator, NamedTuple

TOKEN = re.compile(
    r"""(?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)
      |(?P<raw>\b(?:u8|[uUL])?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)")
      |(?P<string>"(?:\\.|[^"\\\n])*")
      |(?P<number>\b\d[\w.']*)
      |(?P<char>'(?:\\.|[^'\\\n])+')""", re.VERBOSE | re.DOTALL)

CONTROL = re.compile(r"^(if|else|for|while|do|switch|try|catch|return|case|default)\b")
CONTAINER = re.compile(r"^(inline\s+)?(namespace|class|struct|union|enum|extern)\b")
ENDS_AS_FUNCTION = re.compile(
    r"\)\s*((const|noexcept|override|final|mutable|try|&&?|requires\b.*|->.*"
    r"|noexcept\s*\(.*\))\s*)*$", re.DOTALL)
INITIALIZERS = re.compile(r"\)\s*(noexcept\s*)?(?<!:):(?!:)", re.DOTALL)
NAME = re.compile(r"([~\w:]+|operator\s*[^\s\w(]+|operator\s*\(\s*\))\s*\(")


class Function(NamedTuple):
    name: str
    first: int  # line of its first word, counted from 1
    last: int  # line of its closing brace

    @property
    def lines(self) -> int:
        return self.last - self.first + 1


def blank_comments(text: str, keep_strings: bool = False) -> str:
    """The same text, line for line and column for column, without comments (and string contents)."""

    def blank(match: re.Match[str]) -> str:
        if match["number"] or (keep_strings and not match["comment"]):
            return match[0]
        inner = re.sub(r"[^\n]", " ", match[0])
        if match["comment"]:
            return inner
        return match[0][0] + inner[1:-1] + match[0][-1]

    return TOKEN.sub(blank, text)


def blank_directives(code: str) -> str:
    """Without preprocessor lines, whose braces need not match."""
    return re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda m: re.sub(r"[^\n]", " ", m[0]), code,
                  flags=re.MULTILINE)


def matching_brace(code: str, opening: int) -> int:
    """Where the brace opened at `opening` closes; the end of the text if it never does."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, opening):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    return len(code) - 1


def head_kind(head: str) -> str:
    """What a brace opens, from the statement text before it."""
    head = re.sub(r"^((public|private|protected)\s*:\s*)+", "", head)
    head = re.sub(r"^(template\s*<.*?>\s*(requires\s[^;]*?)?(?=\b(class|struct|union)\b))", "",
                  head, flags=re.DOTALL)
    if CONTAINER.match(head) and not ENDS_AS_FUNCTION.search(head):
        return "container"
    if not head or CONTROL.match(head):
        return "block"
    if "(" not in head:
        return "value"
    if INITIALIZERS.search(head) and re.search(r"[\w>]$", head) and \
            not re.search(r"\b(const|noexcept|override|final|try)$", head):
        return "value"  # one member of a constructor's initializer list
    return "function"


def find_functions(code: str) -> list[Function]:
    """Outermost functions of a text already without comments; lambdas count to their function."""
    return list(scan_functions(blank_directives(code)))


def scan_functions(code: str) -> Iterator[Function]:
    head_start = position = 0
    stop = re.compile(r"[;{}]")
    while match := stop.search(code, position):
        position = match.end()
        if match[0] != "{":
            if match[0] == "}" or not unclosed_parenthesis(code[head_start:match.start()]):
                head_start = position
            continue
        head = code[head_start:match.start()]
        kind = head_kind(head.strip())
        if kind in ("container", "block"):
            head_start = position
            continue
        closing = matching_brace(code, match.start())
        position = closing + 1
        if kind == "function" and not unclosed_parenthesis(head):
            first = head_start + len(head) - len(head.lstrip())
            label = re.match(r"((public|private|protected)\s*:\s*)+", head.lstrip())
            first += label.end() if label else 0
            name = NAME.search(code[first:match.start()])
            yield Function(name[1] if name else "(unnamed)", code.count("\n", 0, first) + 1,
                           code.count("\n", 0, closing) + 1)
            head_start = position


def unclosed_parenthesis(text: str) -> bool:
    return text.count("(") > text.count(")")
