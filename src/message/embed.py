#!/usr/bin/env python3
"""Writes JSON files as NUL-terminated C byte arrays.

usage: embed.py schema|example OUTPUT.c FILE.json...

"incident.notification.json" becomes `const char ent_schema_incident_notification[]`, minified, or
`const char ent_example_incident_notification[]`, as it is for people to read.
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


def bytes_of(path, what):
    """What is embedded of one file; a fault in the file names the file."""
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text, object_pairs_hook=no_duplicates)
    except ValueError as error:
        sys.exit(f"{path}: {error}")
    if what == "example":
        return text.encode("utf-8")
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def array_of(path, what):
    """The C definition for one file. A byte over 127 needs a cast where char is signed."""
    name = f"ent_{what}_" + re.sub(r"[^a-z0-9]", "_", path.stem)
    numbers = [str(byte) if byte < 128 else f"(char){byte}" for byte in bytes_of(path, what) + b"\0"]
    lines = [", ".join(numbers[at:at + 24]) for at in range(0, len(numbers), 24)]
    return f"extern const char {name}[];\nconst char {name}[] = {{\n    " + ",\n    ".join(lines) + "};\n"


def main(arguments):
    if len(arguments) < 4 or arguments[1] not in ("schema", "example"):
        print(__doc__, file=sys.stderr)
        return 2
    parts = ["/* Made by embed.py. */\n"]
    parts += [array_of(Path(name), arguments[1]) for name in arguments[3:]]
    Path(arguments[2]).write_text("\n".join(parts), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
