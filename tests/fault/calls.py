"""What strace wrote of a life: which calls were made, at which places, and as the how manieth of their thread. A place is a system
call and what it was made on: a file by its name below the party's folder, a library, a socket of a kind, memory."""

import re

LINE = re.compile(r"^(\d+) +(\w+)\((.*)$")
ON = re.compile(r"<([^<>]*)>")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
# Their text is a path; that of others is data.
BY_PATH = {
    "access", "chmod", "execve", "faccessat2", "fchmodat", "linkat", "mkdir", "mkdirat", "newfstatat", "openat", "readlink",
    "readlinkat", "rename", "renameat", "renameat2", "statfs", "statx", "unlink", "unlinkat",
}  # fmt: skip
# Their arguments tell nothing that another place would do otherwise with.
ALIKE = {"rt_sigaction", "rt_sigprocmask", "rt_sigtimedwait", "futex"}
NAMES = ((re.compile(r".*\.so\b.*|.*/ld\.so.*"), "a library"), (re.compile(r"[0-9a-f]{8,}"), "#"), (re.compile(r"blobs/[0-9a-f]{2}\b"), "blobs/##"),
         (re.compile(r"([.-])[A-Za-z0-9]{6}$"), r"\1#"), (re.compile(r"\d+"), "#"), (re.compile(r"\[.*\]"), ""))  # fmt: skip


def plain(target, folder):
    target = target.replace(folder + "/", "").replace(folder, ".")
    for pattern, word in NAMES:
        target = pattern.sub(word, target)
    return target


def place_of(name, arguments, folder):
    """"syscall what" of one call."""
    if name in ALIKE:
        return name
    on = [found for found in ON.findall(arguments) if found != "unfinished ..."]
    if name in BY_PATH:
        texts = [text for text in TEXT.findall(arguments) if text]
        if texts:
            return f"{name} {plain(texts[-1] if name != 'execve' else texts[0], folder)}"
    if on:
        return f"{name} {plain(on[0], folder)}"
    words = re.findall(r"\b[A-Z][A-Z_|]{3,}\b", arguments)
    return f"{name} {' '.join(word for word in words if word != 'NULL')[:60]}".strip()


def calls_in(path, folder):
    """(system call, number in its thread, place) of each call, in order."""
    counts = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            found = LINE.match(line)
            if found:
                thread, name, arguments = found.groups()
                number = counts[thread, name] = counts.get((thread, name), 0) + 1
                yield name, number, place_of(name, arguments, folder)


def points_of(calls):
    """{system call: {number: places}}: few numbers that together meet each place, where it comes first and once more where
    it comes often."""
    places = {}
    for name, number, place in calls:
        places.setdefault(place, (name, []))[1].append(number)
    chosen = {}
    for place, (name, numbers) in places.items():
        numbers = sorted(numbers)
        for number in {numbers[0], numbers[len(numbers) // 2]} if len(numbers) > 3 else numbers[:1]:
            chosen.setdefault(name, {}).setdefault(number, set()).add(place)
    return chosen


def injected_in(path, folder):
    """The places where strace has spoiled a call, by what it wrote of that life."""
    met, entered = set(), {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            found = LINE.match(line)
            thread = line.split(" ", 1)[0]
            if found:
                entered[thread] = place_of(found[2], found[3], folder)
            if "(INJECTED)" in line and thread in entered:
                met.add(entered[thread])
            elif "+++ killed by SIGKILL" in line:  # strace does not say which thread it was killed in
                met.add("killed")
    return met
