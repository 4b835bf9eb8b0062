import ast
from pathlib import Path

import alnb

FILES = sorted(Path(alnb.__file__).parent.rglob("*.py"))
MANY = 3  # arguments that a signature alone does not explain


def public_functions(tree):
    """Yield public functions, and public methods of public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
            yield node
        elif isinstance(node, ast.ClassDef) and node.name[0] != "_":
            yield from public_functions(node)


def arguments(function):
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def test_a_public_function_of_many_arguments_describes_them():
    bare = [
        f"{file.stem}.{function.name}"
        for file in FILES
        if file.parent.name != "cli"  # whose options describe themselves to ``--help``
        for function in public_functions(ast.parse(file.read_text("utf-8")))
        if len(arguments(function)) >= MANY
        and "Parameters\n" not in (ast.get_docstring(function) or "")
    ]

    assert bare == []
