"""What the layout tests hold the sources to. A change here is a design decision."""

# The stages in the order of the flow, each with the stages it may include.
EDGES = {
    "base": [],
    # What a process gives up once it has started; the two daemons' processes alone use it.
    "sandbox": ["base"],
    "crypto": ["base"],
    "log": ["base", "crypto"],
    "seal": ["base", "crypto", "log"],
    "message": ["base", "crypto", "log", "seal"],
    "pouch": ["base", "crypto", "log", "seal", "message"],
    "ledger": ["base", "crypto", "log", "message"],
    "store": ["base", "crypto", "log", "message", "pouch"],
    "keeper": ["base", "crypto", "log", "seal"],
    "http": ["base", "crypto"],
    "node": ["base", "crypto", "log", "seal", "message", "pouch", "ledger", "store", "keeper", "http", "sandbox"],
    # The command line never opens a live store; it makes keys (init), so it may use the keeper.
    "cli": ["base", "crypto", "log", "seal", "message", "pouch", "ledger", "keeper", "http"],
}

# Third-party headers (by their first path component or name) and the one stage that may include each.
THIRD_PARTY = {
    "sodium.h": "crypto",
    "sodium": "crypto",
    "nettle": "crypto",
    "simdjson.h": "base",
    "sqlite3.h": "store",
    "microhttpd.h": "http",
    "gnutls": "http",
    "curl": "http",
    "seccomp.h": "sandbox",
    "linux": "sandbox",
}

# C++ is there for simdjson alone.
CPP_STAGE = "base"

# The same evidence must give the same result everywhere: no clock, no I/O, no globals, no locale.
PURE_STAGES = ["log", "seal", "message", "pouch", "ledger"]
PURE_HEADERS = {
    "assert.h", "endian.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h",
    "stdio.h",  # snprintf; FILE and the functions on it are refused below
    "stdlib.h",  # qsort, bsearch; the environment is refused below
    "string.h", "strings.h",
}
PURE_FORBIDDEN_WORDS = {"FILE", "stdin", "stdout", "stderr", "errno", "environ", "_Thread_local"}
PURE_FORBIDDEN_CALLS = {
    "time", "clock", "clock_gettime", "gettimeofday", "localtime", "localtime_r", "gmtime", "gmtime_r", "mktime",
    "strftime", "open", "openat", "creat", "close", "read", "pread", "write", "pwrite", "lseek", "stat", "fstat",
    "lstat", "access", "unlink", "rename", "mkdir", "opendir", "mmap", "fopen", "fdopen", "freopen", "tmpfile",
    "socket", "connect", "send", "recv", "getaddrinfo", "getenv", "secure_getenv", "setenv", "rand", "random", "srand",
    "getrandom", "getentropy", "setlocale", "strtok", "system", "popen", "fork", "sleep", "usleep", "nanosleep",
}

# Libraries never exit, abort, log or print.
LIBRARY_STAGES = ["base", "sandbox", "crypto", "log", "seal", "message", "pouch", "ledger", "store", "keeper", "http"]
LIBRARY_FORBIDDEN_CALLS = {
    "exit", "_exit", "_Exit", "quick_exit", "abort", "printf", "vprintf", "puts", "putchar", "perror", "syslog", "err",
    "errx", "warn", "warnx",
}

# The C library as used here; anything else in <> must be in THIRD_PARTY.
SYSTEM_HEADERS = {
    "arpa/inet.h", "assert.h", "ctype.h", "dirent.h", "endian.h", "errno.h", "fcntl.h", "ftw.h", "getopt.h", "grp.h",
    "inttypes.h", "limits.h", "netdb.h", "netinet/in.h", "netinet/tcp.h", "poll.h", "pthread.h", "pwd.h", "sched.h",
    "semaphore.h", "setjmp.h", "signal.h", "spawn.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h",
    "stdio.h", "stdlib.h", "stdnoreturn.h", "string.h", "strings.h", "sys/epoll.h", "sys/eventfd.h", "sys/file.h",
    "sys/ioctl.h", "sys/mman.h", "sys/param.h", "sys/prctl.h", "sys/random.h", "sys/resource.h", "sys/select.h",
    "sys/signalfd.h", "sys/socket.h", "sys/stat.h", "sys/syscall.h", "sys/statvfs.h", "sys/time.h", "sys/timerfd.h", "sys/types.h",
    "sys/uio.h", "sys/un.h", "sys/wait.h", "termios.h", "threads.h", "time.h", "unistd.h",
}
CPP_HEADERS = {
    "algorithm", "array", "cstddef", "cstdint", "cstdlib", "cstring", "limits", "memory", "new", "string",
    "string_view", "unordered_set", "utility", "vector",
}

MOST_LINES = 700  # of a .c file

# A function of a header with such a name decodes what someone else wrote.
DECODER_NAME = r"ent_[a-z0-9_]+_(?:parse|decode|unpack|read_path)(?:_[a-z0-9_]+)?"

# Every decoder and the fuzz target that must call it.
DECODERS = {
    "ent_json_parse": "json",
    "ent_note_parse": "note",
    "ent_vkey_parse": "vkey",
    "ent_checkpoint_parse": "checkpoint",
    "ent_cosignature_parse": "cosignature",
    "ent_tile_path_parse": "tile_path",
    "ent_bundle_parse": "entry_bundle",
    "ent_tlog_proof_parse": "tlog_proof",
    "ent_policy_parse": "policy",
    "ent_fork_proof_parse": "fork_proof",
    "ent_age_header_parse": "age_header",
    "ent_age_opener_push": "age_file",
    "ent_bech32_decode": "bech32",
    "ent_recipient_parse": "bech32",
    "ent_identity_parse": "bech32",
    "ent_card_parse": "card",
    "ent_cutoffs_parse": "cutoff",
    "ent_entry_decode": "entry",
    "ent_genesis_decode": "genesis",
    "ent_body_parse": "body",
    "ent_kind_find": "kind",  # a body with the kind that it is held to, one kind a file
    "ent_agreement_parse": "agreement",
    "ent_ledger_entry": "ledger",  # takes in whatever members say
    "ent_ustar_reader_push": "ustar",
    "ent_pouch_index_parse": "pouch_json",
    "ent_pouch_parse": "pouch",
    "ent_key_file_parse": "key_file",
    "ent_wire_request_parse": "keeper_request",
    "ent_wire_answer_parse": "keeper_answer",
    "ent_errand_request_parse": "errand",
    "ent_errand_answer_parse": "errand",
    "ent_blob_range_parse": "blob_range",
    "ent_blob_range_asked": "blob_range",
    "ent_channel_list_next": "channel_list",
    "ent_cli_key_request_parse": "key_request",
    "ent_cli_verify_report": "report",  # reports of anybody
}

# Decoders by name that need no target of their own, and why.
DECODER_EXEMPTIONS = {
    "ent_decimal_parse": "one number; ent_cursor_decimal is under every text decoder's target",
    "ent_hex_decode": "a fixed size; under the targets entry and genesis",
    "ent_base64_decode": "under the targets note and genesis",
    "ent_base64_decode_fixed": "a fixed size; under the targets checkpoint and age_header",
    "ent_time_parse": "20 characters; under the target entry",
    "ent_message_ref_parse": "under the target entry, as thread and reply_to",
    "ent_origin_parse": "under the target pouch_json and the acks of entry",
    "ent_tree_edge_parse": "a fixed size, written by our own store",
}
