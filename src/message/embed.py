#!/usr/bin/env python3
"""Writes JSON schemas as C byte arrays, minified and NUL-terminated.

usage: embed.py OUTPUT.c SCHEMA.json...

"incident.notification.json" becomes `const char ent_schema_incident_notification[]`.
"""

import json
import re
import sys
from pathlib import Path


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"a key stands twice in {keys}")
    return dict(pairs)


def array_of(path):
    """The C definition for one schema; a fault in the file names the file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=no_duplicates)
    except ValueError as error:
        sys.exit(f"{path}: {error}")
    data = json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\0"
    name = re.sub(r"[^a-z0-9]", "_", path.stem)
    lines = [", ".join(str(byte) for byte in data[at:at + 24]) for at in range(0, len(data), 24)]
    return f"extern const char ent_schema_{name}[];\nconst char ent_schema_{name}[] = {{\n    " + ",\n    ".join(lines) + "};\n"


def main(arguments):
    if len(arguments) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    parts = ["/* Made by embed.py from the files in schemas/. */\n"]
    parts += [array_of(Path(name)) for name in arguments[2:]]
    Path(arguments[1]).write_text("\n".join(parts), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
