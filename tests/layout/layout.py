#!/usr/bin/env python3
"""Holds the sources to the layout: who includes whom, what pure stages may do, that headers stand alone, and that
every decoder is fuzzed.

usage: layout.py includes|purity|headers|decoders SOURCE_ROOT [COMPILER ARGUMENT...]
"""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tables

SOURCE_SUFFIXES = {".c", ".h", ".cc", ".cpp", ".def", ".inc"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]*)"|<([^>]*)>)', re.MULTILINE)
TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def without_comments(text):
    """The text with comments blanked, line numbers kept."""
    def blank(match):
        found = match.group(0)
        return re.sub(r"[^\n]", " ", found) if found.startswith("/") else found
    return TOKENS.sub(blank, text)


def bare_code(text):
    """The text with comments, string contents and preprocessor lines blanked, line numbers kept."""
    def blank(match):
        found = match.group(0)
        return re.sub(r"[^\n]", " ", found) if found.startswith("/") else found[0] + found[-1]
    text = TOKENS.sub(blank, text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.MULTILINE)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


class Tree:
    """The source files of one checkout, read once."""

    def __init__(self, root):
        self.root = Path(root)
        self.files = {}
        for path in sorted((self.root / "src").rglob("*")):
            if path.is_file() and path.suffix in SOURCE_SUFFIXES:
                self.files[path.relative_to(self.root / "src").as_posix()] = path.read_text(encoding="utf-8")

    def stage(self, name):
        return name.split("/")[0]

    def includes(self, name):
        """(line, quoted name or None, angled name or None) of each include."""
        text = without_comments(self.files[name])
        for match in INCLUDE.finditer(text):
            yield line_of(text, match.start()), match.group(1), match.group(2)


def third_party_owner(header):
    return tables.THIRD_PARTY.get(header) or tables.THIRD_PARTY.get(header.split("/")[0])


def check_includes(tree):
    problems = []
    if not tree.files:
        problems.append("src: no source file at all")
    leaks = {}  # header -> the third-party header it brings along, directly
    for name in tree.files:
        stage = tree.stage(name)
        if stage not in tables.EDGES:
            problems.append(f"src/{name}: the stage {stage} is not in the table of allowed includes")
            continue
        for line, quoted, angled in tree.includes(name):
            where = f"src/{name}:{line}"
            if quoted is not None:
                target = quoted.split("/")[0]
                if "/" not in quoted or target not in tables.EDGES:
                    problems.append(f'{where}: "{quoted}" must be named from src/, as "{stage}/…"')
                elif target != stage and target not in tables.EDGES[stage]:
                    problems.append(f'{where}: {stage} must not include {target} ("{quoted}")')
                continue
            owner = third_party_owner(angled)
            if owner is not None:
                if stage != owner:
                    problems.append(f"{where}: <{angled}> belongs to src/{owner} alone")
                elif name.endswith(".h"):
                    leaks[name] = angled
            elif angled in tables.CPP_HEADERS:
                if stage != tables.CPP_STAGE or name.endswith((".c", ".h")):
                    problems.append(f"{where}: <{angled}> is C++, which belongs to src/{tables.CPP_STAGE} alone")
            elif angled not in tables.SYSTEM_HEADERS:
                problems.append(f"{where}: <{angled}> is neither of the C library nor a listed third party")
        if name.endswith((".c", ".cc", ".cpp")):
            lines = tree.files[name].count("\n")
            if lines > tables.MOST_LINES:
                problems.append(f"src/{name}: {lines} lines, more than {tables.MOST_LINES}: split it")
    return problems + check_third_party_stays_inside(tree, leaks)


def check_third_party_stays_inside(tree, leaks):
    """A header that includes a third party's is private to its stage: no other stage may reach it."""
    problems = []

    def reached(name, seen):
        for _, quoted, _ in tree.includes(name):
            if quoted in tree.files and quoted not in seen:
                seen.add(quoted)
                reached(quoted, seen)
        return seen

    for name in tree.files:
        for header in sorted(reached(name, set()) & leaks.keys()):
            if tree.stage(header) != tree.stage(name):
                problems.append(
                    f"src/{name}: gets <{leaks[header]}> through src/{header}, which is private to its stage")
    return problems


def calls(code, names):
    """(line, name) of each call of one of these functions; members and longer names do not count."""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(sorted(names, key=len, reverse=True)) + r")[ \t]*\(")
    for match in pattern.finditer(code):
        yield line_of(code, match.start()), match.group(1)


def mutable_objects(code):
    """(line, declaration) of each object with static storage that is not const."""
    depth = 0
    start = 0
    body = ""  # the declaration at depth 0, without what its braces hold
    for position, character in enumerate(code):
        if character == "{":
            if depth == 0:
                body += code[start:position] + "{}"
            depth += 1
        elif character == "}":
            depth -= 1
            start = position + 1
            if depth == 0 and re.search(r"\)\s*\{\}$", body):
                body = ""  # a function's body needs no semicolon
        elif character == ";" and depth == 0:
            body += code[start:position]
            declaration = " ".join(body.split())
            if is_mutable(declaration):
                yield line_of(code, position), declaration
            body = ""
            start = position + 1
    for match in re.finditer(r"^[ \t]+static\b([^;{=(]*)[;=[]", code, re.MULTILINE):
        if not is_const_object(match.group(1)):
            yield line_of(code, match.start()), " ".join(match.group(0).split())


def is_const_object(declaration):
    """Is the object itself const, not only what it points to?"""
    return re.search(r"\bconst\b", declaration.rsplit("*", 1)[-1]) is not None


def is_mutable(declaration):
    if re.match(r"(typedef|_Static_assert|static_assert|extern)\b", declaration) or not declaration:
        return False
    head = declaration.split("=", 1)[0]
    kind = "const" if re.match(r"(?:static )?const ", head) else "T"
    object_part = re.sub(r"^(?:static |const )*(?:struct|union|enum)\b[^{]*\{\}", kind, head)
    if "(" in re.sub(r"__attribute__\s*\(\(.*?\)\)|_Alignas\s*\([^)]*\)", "", object_part):
        return "=" in declaration and "(*" in object_part and not is_const_object(object_part)
    names = object_part.replace("static", "").split()
    if len(names) < 2:
        return False  # a struct or enum definition, or a forward declaration
    if re.fullmatch(r"(?:struct|union|enum) \w+", object_part.strip()):
        return False
    return not is_const_object(object_part)


def check_purity(tree):
    problems = []
    for name, text in tree.files.items():
        stage = tree.stage(name)
        code = bare_code(text)
        if stage in tables.LIBRARY_STAGES:
            for line, function in calls(code, tables.LIBRARY_FORBIDDEN_CALLS):
                problems.append(f"src/{name}:{line}: {function}(): libraries never exit, abort, log or print")
        if stage not in tables.PURE_STAGES:
            continue
        for line, _, angled in tree.includes(name):
            if angled is not None and angled not in tables.PURE_HEADERS:
                problems.append(f"src/{name}:{line}: <{angled}> is not for a pure stage")
        for line, function in calls(code, tables.PURE_FORBIDDEN_CALLS):
            problems.append(f"src/{name}:{line}: {function}(): a pure stage reads no clock and does no I/O")
        for match in re.finditer(r"\b(" + "|".join(tables.PURE_FORBIDDEN_WORDS) + r")\b", code):
            problems.append(f"src/{name}:{line_of(code, match.start())}: {match.group(1)} is not for a pure stage")
        if not name.endswith((".def", ".inc")):
            for line, declaration in mutable_objects(code):
                problems.append(f"src/{name}:{line}: a pure stage keeps no globals: {declaration[:80]}")
    return problems


def check_headers(tree, compiler):
    """Each header compiles as the only include of a file, twice over."""
    headers = [name for name in tree.files if name.endswith(".h")]
    if not headers:
        return ["src: no header at all"]
    with tempfile.TemporaryDirectory() as folder:
        def compile_alone(item):
            number, header = item
            path = Path(folder) / f"{number}.c"
            path.write_text(f'#include "{header}"\n#include "{header}"\n', encoding="utf-8")
            command = compiler + ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                                  "-Wno-unused-function", "-I", str(tree.root / "src"), "-fsyntax-only", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return [] if done.returncode == 0 else [f"src/{header}: does not compile alone:\n{done.stderr}"]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return [problem for found in pool.map(compile_alone, enumerate(headers)) for problem in found]


def fuzz_targets(root):
    """The table of fuzz/meson.build: name -> stage."""
    path = root / "fuzz" / "meson.build"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    table = re.search(r"fuzz_targets = \{(.*?)\}", text, re.DOTALL)
    return dict(re.findall(r"'(\w+)'\s*:\s*'(\w+)'", table.group(1))) if table else {}


def check_decoders(tree, decoders=None, exemptions=None):
    decoders = tables.DECODERS if decoders is None else decoders
    exemptions = tables.DECODER_EXEMPTIONS if exemptions is None else exemptions
    problems = []
    declared = {}
    for name, text in tree.files.items():
        if name.endswith(".h"):
            for match in re.finditer(r"\b(" + tables.DECODER_NAME + r")\s*\(", bare_code(text)):
                declared.setdefault(match.group(1), name)
    code = {name: bare_code(text) for name, text in tree.files.items() if name.endswith(".h")}
    targets = fuzz_targets(tree.root)
    fuzz = tree.root / "fuzz"

    for function, header in sorted(declared.items()):
        if function not in decoders and function not in exemptions:
            problems.append(f"src/{header}: {function} decodes, but no fuzz target is named for it in the table")
    for function in sorted(exemptions):
        if function not in declared:
            problems.append(f"tables.py: {function} is exempted, but no header declares it")
        if function in decoders:
            problems.append(f"tables.py: {function} is both exempted and in the table")
    for function, target in sorted(decoders.items()):
        if not any(re.search(rf"\b{function}\s*\(", text) for text in code.values()):
            problems.append(f"tables.py: {function} is in the table, but no header declares it")
        if target not in targets:
            problems.append(f"fuzz/meson.build: {target}, the target of {function}, is not in its table")
        source = fuzz / f"fuzz_{target}.c"
        if source.is_file() and not list(calls(bare_code(source.read_text(encoding="utf-8")), {function})):
            problems.append(f"fuzz/fuzz_{target}.c: does not call {function}")

    for target in sorted(targets):
        if not (fuzz / f"fuzz_{target}.c").is_file():
            problems.append(f"fuzz/fuzz_{target}.c: is missing")
        corpus = fuzz / "corpus" / target
        if not corpus.is_dir() or not any(path.is_file() for path in corpus.iterdir()):
            problems.append(f"fuzz/corpus/{target}: is missing or empty")
        if target not in decoders.values():
            problems.append(f"tables.py: no decoder is named for the fuzz target {target}")
    for source in sorted(fuzz.glob("fuzz_*.c")):
        if source.stem.removeprefix("fuzz_") not in targets:
            problems.append(f"fuzz/{source.name}: is not in the table of fuzz/meson.build, so nothing builds it")
    return problems


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    tree = Tree(arguments[1])
    checks = {
        "includes": lambda: check_includes(tree),
        "purity": lambda: check_purity(tree),
        "headers": lambda: check_headers(tree, arguments[2:] or ["cc"]),
        "decoders": lambda: check_decoders(tree),
    }
    if arguments[0] not in checks:
        print(__doc__, file=sys.stderr)
        return 2
    problems = checks[arguments[0]]()
    for problem in problems:
        print(problem)
    print(f"{arguments[0]}: {len(tree.files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
