"""Small changes to the source of a module: mutants, one change in each."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("title", "description", "summary", "version", "detail")
MESSAGES = ("HTTPException", "debug", "info", "warning", "error", "critical", "exception")
COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
SUMS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMES = ("all", "any", "max", "min", "EmailStr")
SWAPS = """all/any max/min startswith/endswith upper/lower lstrip/rstrip split/rsplit name/stem
partition/rpartition isdigit/isdecimal any/all min/max endswith/startswith lower/upper rstrip/lstrip
rsplit/split stem/name rpartition/partition isdecimal/isdigit isdecimal/isnumeric EmailStr/str
commit/flush commit/rollback casefold/lower strip/lstrip strip/rstrip first/one
exception/info error/info warning/info"""


Roles = frozenset[str]  # the part of a node in the nodes around it


@dataclass(frozen=True)
class Mutant:
    """One changed solution; `line` is where the change is, in the file that it was made from."""

    file: str
    line: int
    operator: str
    source: str
    diff: str


def comparison(node: ast.AST, _roles: Roles) -> Iterator[ast.AST]:
    """Another comparison operator."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in COMPARISONS[type(op)]:
                yield changed(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])


def boolean(node: ast.AST, _roles: Roles) -> Iterator[ast.AST]:
    """The other boolean operator, one operand alone, or no `not`."""
    if isinstance(node, ast.BoolOp):
        yield changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        yield from node.values
    if isinstance(node, ast.UnaryOp):
        yield node.operand


def condition(_node: ast.AST, roles: Roles) -> Iterator[ast.AST]:
    """A condition that is always true or always false."""
    if "asked" in roles:
        yield from (ast.Constant(True), ast.Constant(False))


def constant(node: ast.AST, roles: Roles) -> Iterator[ast.AST]:
    """Another constant."""
    match node:
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(None):
            yield ast.Constant(True)
        case ast.Constant(str(value)) if "free" not in roles:
            yield from (ast.Constant(value + "X"), ast.Constant(""))
        case ast.Constant(bytes(value)):
            yield from (ast.Constant(value + b"X"), ast.Constant(b""))


def deletion(node: ast.AST, _roles: Roles) -> Iterator[ast.AST]:
    """No statement at all."""
    kinds = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Raise, ast.Delete, ast.For)
    if isinstance(node, kinds) and getattr(node, "value", True):
        yield ast.Pass()


def flow(node: ast.AST, _roles: Roles) -> Iterator[ast.AST]:
    """No returned value, or `break` and `continue` exchanged."""
    match node:
        case ast.Return(value=ast.expr()):
            yield ast.Return()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def arithmetic(node: ast.AST, _roles: Roles) -> Iterator[ast.AST]:
    """Another arithmetic operator, or an assignment without one."""
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in SUMS:
        yield changed(node, op=SUMS[type(node.op)]())
    if isinstance(node, ast.AugAssign):
        yield ast.Assign([node.target], node.value)


def argument(node: ast.AST, _roles: Roles) -> Iterator[ast.AST]:
    """One argument, element or entry is left out, or the call round its only argument."""
    match node:
        case ast.Call(func=func, args=args, keywords=keywords):
            for i, arg in enumerate(args):
                if not isinstance(arg, ast.Constant) or not has_free_text(node):
                    yield changed(node, args=args[:i] + args[i + 1 :])
            for i, keyword in enumerate(keywords):
                if keyword.arg not in SHOWN:
                    yield changed(node, keywords=keywords[:i] + keywords[i + 1 :])
            if len(args) == 1 and not keywords:
                yield args[0]
            if not args and isinstance(func, ast.Attribute):
                yield func.value
        case ast.List(elts=elts) | ast.Tuple(elts=elts) | ast.Set(elts=elts):
            if isinstance(getattr(node, "ctx", None), ast.Store):
                return
            for i in range(len(elts)):
                yield changed(node, elts=elts[:i] + elts[i + 1 :])
        case ast.Dict(keys=keys, values=values):
            for i in range(len(keys)):
                rest = {"keys": keys[:i] + keys[i + 1 :], "values": values[:i] + values[i + 1 :]}
                yield changed(node, **rest)


def handler(_node: ast.AST, roles: Roles) -> Iterator[ast.AST]:
    """An `except` that catches another error."""
    if "caught" in roles:
        yield ast.Name("ZeroDivisionError")


def decorator(_node: ast.AST, roles: Roles) -> Iterator[ast.AST]:
    """No decorator."""
    if "decorates" in roles:
        yield ast.parse("lambda it: it", mode="eval").body


def context(node: ast.AST, roles: Roles) -> Iterator[ast.AST]:
    """A lock that is not taken, a connection or a file that is not closed."""
    if "entered" in roles and isinstance(node, ast.expr):
        null = ast.parse("__import__('contextlib').nullcontext", mode="eval").body
        yield ast.Call(null, [node], [])


def swaps(name: str) -> Iterator[str]:
    """The names that can take the place of `name`."""
    pairs = (pair.split("/") for pair in SWAPS.split())
    yield from (other for one, other in pairs if one == name)


def swap(node: ast.AST, _roles: Roles) -> Iterator[ast.AST]:
    """A similar name or attribute."""
    if isinstance(node, ast.Name) and node.id in NAMES:
        yield from (ast.Name(name) for name in swaps(node.id))
    if isinstance(node, ast.Attribute):
        yield from (changed(node, attr=name) for name in swaps(node.attr))
        yield from [node.value] if node.attr in ("name", "stem") else []


def bounds(node: ast.AST, _roles: Roles) -> Iterator[ast.AST]:
    """A slice without one of its bounds."""
    if isinstance(node, ast.Slice):
        yield from (changed(node, lower=None) for _ in [node.lower] if node.lower)
        yield from (changed(node, upper=None) for _ in [node.upper] if node.upper)


def on_the_loop(node: ast.AST, _roles: Roles) -> Iterator[ast.AST]:
    """A function that is a coroutine function instead."""
    if isinstance(node, ast.FunctionDef):
        yield ast.AsyncFunctionDef(**dict(ast.iter_fields(node)))


OPERATORS = (
    *(comparison, boolean, condition, constant, deletion, flow, arithmetic, argument),
    *(handler, decorator, context, swap, bounds, on_the_loop),
)


def changed(node: ast.AST, **fields: Any) -> ast.AST:
    """A copy of a node, with other fields."""
    other = copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def has_free_text(call: ast.Call) -> bool:
    """Whether the text in a call is for people, and its wording is free."""
    return getattr(call.func, "id", getattr(call.func, "attr", "")) in MESSAGES


def roles_below(node: ast.AST, field: str, roles: Roles) -> Roles:
    """The roles of the nodes in a field of `node`; `free` text and `typed` are inherited."""
    below = roles & ({"free"} if isinstance(node, ast.Call) else {"free", "typed"})
    match node, field:
        case (_, "annotation" | "returns"):
            return below | {"typed"}
        case (ast.If() | ast.While() | ast.IfExp(), "test") | (ast.comprehension(), "ifs"):
            return below | {"asked"}
        case ast.ExceptHandler(), "type":
            return below | {"caught"}
        case _, "decorator_list":
            return below | {"decorates"}
        case ast.withitem(), "context_expr":
            return below | {"entered"}
        case ast.Call(), "args" if has_free_text(node):
            return below | {"free"}
        case ast.keyword(arg=name), _ if name in SHOWN:
            return below | {"free"}
    return below


Site = tuple[ast.AST, Roles, Any]


def sites(node: ast.AST, roles: Roles = frozenset(), text: ast.AST | None = None) -> Iterator[Site]:
    """Each node that may be changed, its roles, and the node to write again: whole f-strings."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant(value=str())):
            return
        case ast.JoinedStr():
            text = text or node
    if hasattr(node, "lineno"):
        yield node, roles, text or node
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from sites(child, roles_below(node, field, roles), text)


class Exchange(ast.NodeTransformer):
    """Replaces one node by another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        """The new node for the old one, and other nodes with it exchanged below."""
        return self.new if node is self.old else self.generic_visit(node)


def spelled(source: str, old: ast.AST, new: ast.AST, whole: ast.AST) -> str:
    """The source text of `whole` with `new` for `old`."""
    if isinstance(new, ast.AsyncFunctionDef):
        return f"async {ast.get_source_segment(source, old)}"
    if whole is not old:
        Exchange(old, new).visit(whole)
        text = ast.unparse(whole)
        Exchange(new, old).visit(whole)
        return text
    text = ast.unparse(ast.fix_missing_locations(new))
    loose = (ast.BinOp, ast.BoolOp, ast.Compare, ast.UnaryOp, ast.IfExp, ast.Lambda, ast.Await)
    return f"({text})" if isinstance(new, loose) else text


def spliced(source: str, node: Any, text: str) -> str:
    """The source with `text` where `node` is; columns of nodes are bytes."""
    lines = source.encode().splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno - 1
    before = [*lines[:first], lines[first][: node.col_offset]]
    after = [lines[last][node.end_col_offset :], *lines[last + 1 :]]
    return b"".join([*before, text.encode(), *after]).decode()


def shape(code: CodeType) -> tuple[object, ...]:
    """The behaviour of a code object, without its line numbers."""
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    inner = tuple(shape(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts)
    return (code.co_code, code.co_flags, code.co_exceptiontable, names, inner)


def fresh(module: ast.Module, known: set[str]) -> Iterator[Site]:
    """The sites of all top-level statements that are not `known`; adds them to it."""
    for statement in module.body:
        if (text := ast.dump(statement)) not in known:
            known.add(text)
            yield from sites(statement)


def mutants(file: Path, known: set[str] | None = None) -> Iterator[Mutant]:
    """All mutants of a file that compile, no two of them to the same bytecode.

    Top-level statements that are `known` are left out, and the others are added to it.
    """
    source = file.read_text(encoding="utf-8")
    name = str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)
    seen = {shape(compile(source, name, "exec"))}
    for node, roles, whole in fresh(ast.parse(source), set() if known is None else known):
        for operator in (swap,) if "typed" in roles else OPERATORS:
            for new in operator(node, roles):
                try:
                    text = spliced(source, whole, spelled(source, node, new, whole))
                    this = shape(compile(text, name, "exec"))
                except (SyntaxError, ValueError):
                    continue
                if this not in seen:
                    seen.add(this)
                    pair = (source.splitlines(), text.splitlines())
                    diff = "\n".join(difflib.unified_diff(*pair, name, name, lineterm="", n=2))
                    yield Mutant(name, whole.lineno, operator.__name__, text, diff)
