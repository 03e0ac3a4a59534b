#!/usr/bin/env python3
"""Shows that each layout check fails on a tree that breaks its rule, and only then."""

import sys
import tempfile
import unittest
from pathlib import Path

import layout
import tables

COMPILER = sys.argv[1:] or ["cc"]

FUZZ_TABLE = "fuzz_targets = {\n  # comment\n  'note': 'log',\n}\n"
NOTE_HEADER = "/* ent_other_parse(x) in a comment */\nint ent_note_parse(int text);\n"
NOTE_TARGET = "int LLVMFuzzerTestOneInput(void) { return ent_note_parse(1); }\n"


class BadTree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def tree(self, **files):
        """A tree with these files; `__` is a slash, the last `_` a dot."""
        for name, text in files.items():
            path = self.root / ".".join(name.replace("__", "/").rsplit("_", 1))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return layout.Tree(self.root)

    def refused(self, problems, word):
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(word, problems[0])


class Includes(BadTree):
    def check(self, **files):
        return layout.check_includes(self.tree(**files))

    def test_includes__allowed_accepted(self):
        source = '#include "log/note.h"\n#include <string.h>\n#include "base/bytes.h"\n'
        self.assertEqual(self.check(src__log__note_c=source), [])

    def test_includes__no_sources_refused(self):
        self.refused(self.check(), "no source file")

    def test_includes__later_stage_refused(self):
        self.refused(self.check(src__log__note_c='#include "store/store.h"\n'), "log must not include store")

    def test_includes__base_including_a_stage_refused(self):
        self.refused(self.check(src__base__a_h='# include "crypto/crypto.h"\n'), "base must not include crypto")

    def test_includes__cli_opening_the_store_refused(self):
        self.refused(self.check(src__cli__main_c='#include "store/store.h"\n'), "cli must not include store")

    def test_includes__relative_name_refused(self):
        self.refused(self.check(src__log__note_c='#include "note.h"\n'), "must be named from src/")
        self.refused(self.check(src__log__note_c='#include "../base/bytes.h"\n'), "must be named from src/")

    def test_includes__unknown_stage_refused(self):
        self.refused(self.check(src__extra__a_c="int a;\n"), "not in the table")

    def test_includes__third_party_elsewhere_refused(self):
        for header in ("sodium.h", "sodium/utils.h", "nettle/sha2.h", "sqlite3.h", "gnutls/x509.h", "curl/curl.h"):
            self.refused(self.check(src__pouch__a_c=f"#include <{header}>\n"), "alone")

    def test_includes__third_party_at_home_accepted(self):
        crypto, store = "#include <sodium.h>\n", "#include <sqlite3.h>\n"
        self.assertEqual(self.check(src__crypto__a_c=crypto, src__store__a_h=store), [])

    def test_includes__third_party_through_a_header_refused(self):
        problems = self.check(
            src__crypto__inner_h="#include <sodium.h>\n", src__crypto__crypto_h='#include "crypto/inner.h"\n',
            src__log__note_c='#include "crypto/crypto.h"\n')
        self.refused(problems, "private to its stage")

    def test_includes__unknown_library_refused(self):
        self.refused(self.check(src__node__a_c="#include <openssl/ssl.h>\n"), "neither")

    def test_includes__cpp_outside_base_refused(self):
        self.refused(self.check(src__log__a_cc="#include <string_view>\n"), "C++")

    def test_includes__in_a_comment_ignored(self):
        self.assertEqual(self.check(src__log__a_c='/*\n#include "store/store.h"\n*/\n// #include <sodium.h>\n'), [])

    def test_includes__long_file_refused(self):
        self.assertEqual(self.check(src__log__a_c="\n" * tables.MOST_LINES), [])
        self.refused(self.check(src__log__a_c="\n" * (tables.MOST_LINES + 1)), "split it")


class Purity(BadTree):
    def check(self, **files):
        return layout.check_purity(self.tree(**files))

    def test_purity__clock_header_refused(self):
        self.refused(self.check(src__log__a_c="#include <time.h>\n"), "<time.h>")

    def test_purity__calls_refused(self):
        for call in ("time(NULL)", "open (p, 0)", 'getenv("X")', "!read(1, b, 2)", "(void)fopen(p, q)"):
            self.refused(self.check(src__seal__a_c=f"void f(void)\n{{\n    {call};\n}}\n"), "src/seal/a.c:3")

    def test_purity__own_names_members_and_strings_accepted(self):
        source = 'int f(void) { ent_pouch_open(p); r->read(r); r.close(); s = "time(x)"; }\n'
        self.assertEqual(self.check(src__pouch__a_c=source), [])

    def test_purity__impure_stage_accepted(self):
        source = "#include <time.h>\nstatic int n;\nint f(void) { return time(0); }\n"
        self.assertEqual(self.check(src__store__a_c=source), [])

    def test_purity__file_refused(self):
        self.refused(self.check(src__log__a_c="void f(FILE *out);\n"), "FILE")

    def test_purity__globals_refused(self):
        for declaration in (
                "static int count;", "int count = 1;", "static const char *name;", "struct ent_x state;",
                "static char buffer[4] = {0};", "static struct { int a; } both;", "static int (*hook)(void) = f;",
                "void g(void)\n{\n    static int calls;\n    calls++;\n}", "_Atomic int shared;",
                "void g(void)\n{\n}\nint after;"):
            self.refused(self.check(src__message__a_c=declaration + "\n"), "globals")

    def test_purity__constants_and_types_accepted(self):
        for declaration in (
                "static const int limit = 3;", "enum { A = 1, B };",
                "static const char *const names[] = {\"a\", \"b\"};",
                "struct ent_x;", "struct ent_x { int a; char b; };", "typedef struct { int a; } ent_y;",
                "static const struct { const char *n; int v; } rows[] = {{\"a\", 1}};", "int f(int a);",
                "static int f(int a)\n{\n    int b = a;\n    static const int c = 1;\n    return b + c;\n}",
                "_Static_assert(sizeof(int) == 4, \"int\");", "extern const int shared;",
                "static const char text[] = \"a;b{c}\";", "ENT_RC ent_f(int a) __attribute__((nonnull));"):
            self.assertEqual(self.check(src__message__a_c=declaration + "\n"), [], declaration)

    def test_purity__library_that_exits_or_prints_refused(self):
        for call in ("abort()", "exit(1)", 'printf("x")', "perror(p)"):
            self.refused(self.check(src__store__a_c=f"void f(void) {{ {call}; }}\n"), "libraries never")

    def test_purity__program_that_exits_and_prints_accepted(self):
        self.assertEqual(self.check(src__cli__a_c='void f(void) { printf("x"); exit(1); }\n'), [])


class Headers(BadTree):
    def check(self, **files):
        return layout.check_headers(self.tree(**files), COMPILER)

    def test_headers__complete_accepted(self):
        source = "#ifndef A_H\n#define A_H\n#include <stddef.h>\nstruct a { size_t n; };\n#endif\n"
        self.assertEqual(self.check(src__log__a_h=source), [])

    def test_headers__missing_include_refused(self):
        self.refused(self.check(src__log__a_h="size_t f(void);\n"), "does not compile alone")

    def test_headers__unguarded_refused(self):
        self.refused(self.check(src__log__a_h="struct a { int b; };\n"), "does not compile alone")

    def test_headers__none_refused(self):
        self.refused(self.check(src__log__a_c="int f(void);\n"), "no header")


class Decoders(BadTree):
    def check(self, decoders=None, exemptions=None, **files):
        decoders = {"ent_note_parse": "note"} if decoders is None else decoders
        return layout.check_decoders(self.tree(**files), decoders, exemptions or {})

    def good(self, **changes):
        files = {"src__log__note_h": NOTE_HEADER, "fuzz__meson_build": FUZZ_TABLE, "fuzz__fuzz_note_c": NOTE_TARGET,
                 "fuzz__corpus__note__seed_txt": "x"}
        files.update(changes)
        return {name: text for name, text in files.items() if text is not None}

    def test_decoders__complete_accepted(self):
        self.assertEqual(self.check(**self.good()), [])

    def test_decoders__without_target_refused(self):
        for name in ("ent_card_parse", "ent_age_header_decode", "ent_tile_read_path", "ent_ustar_parse_header"):
            problems = self.check(**self.good(src__seal__card_h=f"int {name}(int text);\n"))
            self.refused(problems, f"{name} decodes")

    def test_decoders__exempted_accepted(self):
        files = self.good(src__base__n_h="int ent_n_parse(int text);\n")
        self.assertEqual(self.check(exemptions={"ent_n_parse": "reason"}, **files), [])

    def test_decoders__stale_exemption_refused(self):
        self.refused(self.check(exemptions={"ent_n_parse": "reason"}, **self.good()), "no header declares it")

    def test_decoders__stale_row_refused(self):
        self.refused(self.check({"ent_note_parse": "note", "ent_old_parse": "note"}, **self.good(
            fuzz__fuzz_note_c=NOTE_TARGET + "int g(void) { return ent_old_parse(1); }\n")), "no header declares it")

    def test_decoders__missing_source_refused(self):
        self.refused(self.check(**self.good(fuzz__fuzz_note_c=None)), "is missing")

    def test_decoders__missing_corpus_refused(self):
        self.refused(self.check(**self.good(fuzz__corpus__note__seed_txt=None)), "missing or empty")

    def test_decoders__target_that_calls_something_else_refused(self):
        target = "/* ent_note_parse(1) */ int LLVMFuzzerTestOneInput(void) { return 0; }\n"
        self.refused(self.check(**self.good(fuzz__fuzz_note_c=target)), "does not call ent_note_parse")

    def test_decoders__target_not_built_refused(self):
        self.refused(self.check(**self.good(fuzz__fuzz_other_c=NOTE_TARGET)), "nothing builds it")

    def test_decoders__target_without_decoder_refused(self):
        table = FUZZ_TABLE.replace("}", "  'other': 'log',\n}")
        self.refused(self.check(**self.good(fuzz__meson_build=table, fuzz__fuzz_other_c=NOTE_TARGET,
                                            fuzz__corpus__other__seed_txt="x")), "no decoder is named")


class Tables(unittest.TestCase):
    def test_tables__edges_point_backwards_only(self):
        order = list(tables.EDGES)
        for stage, allowed in tables.EDGES.items():
            for earlier in allowed:
                self.assertLess(order.index(earlier), order.index(stage), f"{stage} -> {earlier}")

    def test_tables__owners_and_pure_stages_exist(self):
        for stage in [*tables.THIRD_PARTY.values(), *tables.PURE_STAGES, *tables.LIBRARY_STAGES]:
            self.assertIn(stage, tables.EDGES)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
