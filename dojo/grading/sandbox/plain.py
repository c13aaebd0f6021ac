"""Whether the text of a solution is plain: it reaches for nothing that outlives a spec.

The process of a plain solution may run several specs, one after the other, as a learner's pytest
does. What is not plain is as right as anything else; each of its specs has a new process.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODULES = _words("""
    PIL __future__ abc aiofiles aiosmtplib annotated_types anyio array asyncio base64 binascii
    bisect calendar collections concurrent contextlib contextvars copy csv dataclasses datetime
    decimal email email_validator enum errno fastapi fnmatch fractions functools glob hashlib heapq
    hmac html http httpx huey imghdr io ipaddress itertools json locale logging math mimetypes
    numbers operator os pathlib posixpath pprint pydantic pydantic_core queue random re secrets
    shutil smtplib sqlalchemy sqlite3 ssl starlette statistics stat string struct tempfile tenacity
    textwrap threading time traceback typing typing_extensions unicodedata urllib uuid warnings
    weakref zlib zoneinfo
""")
# Of `os`, what works with files and settings, and not with processes.
FILES = _words("""
    F_OK O_APPEND O_BINARY O_CREAT O_EXCL O_RDONLY O_RDWR O_TRUNC O_WRONLY PathLike R_OK SEEK_CUR
    SEEK_END SEEK_SET W_OK access altsep chmod close cpu_count curdir environ error fdopen fsdecode
    fsencode fspath fstat fsync ftruncate getcwd getenv getlogin getpid linesep link listdir lseek
    lstat makedirs mkdir name open path pathsep rename replace read readlink remove removedirs
    renames rmdir scandir sep stat symlink truncate umask unlink urandom utime walk write
""")
BUILTINS = _words("""
    __builtins__ __import__ __loader__ __spec__ compile delattr eval exec globals locals setattr
    vars
""")
PROCESSES = _words("""
    ProcessPoolExecutor create_subprocess_exec create_subprocess_shell subprocess_exec
    subprocess_shell
""")
SPECIAL = _words("""
    __aenter__ __aexit__ __aiter__ __anext__ __await__ __call__ __cause__ __class__ __context__
    __enter__ __exit__ __eq__ __file__ __getitem__ __hash__ __init__ __init_subclass__ __iter__
    __len__ __lt__ __mapper_args__ __name__ __new__ __next__ __post_init__ __qualname__ __repr__
    __set_name__ __str__ __table__ __table_args__ __tablename__ __traceback__ __type_params__
""")


def is_plain(source: str) -> bool:
    """Whether a solution imports only known modules, and changes nothing that is not its own.

    Where its text is evidence of something (`evidence`), it is not plain either.
    """
    text = source.encode("utf-8", "surrogateescape")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    imported = {name for node in ast.walk(tree) for name in _bound(node)}
    return all(_harmless(node, imported) for node in ast.walk(tree))


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that an import gives."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]


def _harmless(node: ast.AST, imported: set[str]) -> bool:
    match node:
        case ast.Import():
            return all(_is_known(alias.name) for alias in node.names)
        case ast.ImportFrom(module=str(module), level=0):
            names = [alias.name for alias in node.names]
            known = FILES.issuperset(names) if module == "os" else PROCESSES.isdisjoint(names)
            return _is_known(module) and known
        case ast.ImportFrom():
            return False
        case ast.Name():
            return node.id not in BUILTINS | PROCESSES
        case ast.Attribute(value=ast.Name("os"), attr=name):
            return name in FILES
        case ast.Attribute(ctx=ast.Store() | ast.Del()):
            return _root_of(node) not in {"", *imported}
        case ast.Attribute(attr=name):
            return name not in PROCESSES and (not name.startswith("__") or name in SPECIAL)
        case ast.Subscript(ctx=ast.Store() | ast.Del(), value=ast.Attribute()):
            return _root_of(node) not in imported - {"os"}
    return True


def _is_known(module: str) -> bool:
    top, _, below = module.partition(".")
    return top in MODULES and not below.endswith(("process", "subprocess"))


def _root_of(node: ast.AST) -> str:
    """The name that attributes and items are looked up from; "" where it is something else."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
