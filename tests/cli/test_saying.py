#!/usr/bin/env python3
"""What can be said and under which terms, from outside: kinds, forms in an editor, agreements.

usage: test_saying.py ENTENTE EVIDENCE [TEST]..."""

import base64
import hashlib
import json
import os
import pty
import re
import stat
import subprocess
import sys
import time
import unittest
from datetime import datetime
from pathlib import Path

from test_usage import CHANNEL_ID, ENTENTE, EVIDENCE, EVIL, MSG, Case, WithNode

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SENT = {"message": MSG, "index": 3, "waited": None, "done": False, "answer": None}
HIDDEN = ["\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\u061c", "\u200e", "\u200f",
          "\u200b", "\u2060", "\ufeff", "\u00ad", "\u034f", "\u3164", "\x1b", "\x7f", "\u0085", "\u009b"]


class Kinds(Case):
    def kinds(self):
        return json.loads(self.run_cli("kinds", "--json")[0])["kinds"]

    def test_kinds__lists_all_sixty(self):
        kinds = self.kinds()
        self.assertEqual(len(kinds), 60)
        out, err = self.run_cli("kinds")
        self.assertEqual(err, "")
        for kind in kinds:
            self.assertIn(kind["kind"], out)
            self.assertIn(kind["title"], out)
        self.assertNotIn("incident.final", self.run_cli("kinds", "request")[0])
        self.assertEqual(len(json.loads(self.run_cli("kinds", "request", "--json")[0])["kinds"]), 6)

    def test_kinds__explains_each_with_fields_and_example(self):
        for row in self.kinds():
            with self.subTest(kind=row["kind"]):
                kind = json.loads(self.run_cli("kinds", row["kind"], "--json")[0])
                out, _ = self.run_cli("kinds", row["kind"])
                self.assertIn(row["summary"].split()[0], out)
                self.assertTrue(all(len(line) <= 100 for line in out.split("Example of a body")[0].splitlines()))
                for name in kind["schema"].get("properties", {}):
                    mark = " *" if name in kind["schema"].get("required", []) else ""
                    self.assertRegex(out, rf"(?m)^  {re.escape(name + mark)}  ")
                self.assertIn("fields", kind["example"])
                can_say = not row["by_node"] and not row["by_neutral"]
                self.assertEqual(f"entente send {row['kind']}" in out, can_say)

    def test_kinds__tells_the_thread(self):
        out, _ = self.run_cli("kinds", "answer.response")
        self.assertIn("asked -> granted, said by who is addressed, when the outcome is granted", out)
        self.assertIn("begins it: asked", self.run_cli("kinds", "request.takedown")[0])
        self.assertIn("every thread, in every state", self.run_cli("kinds", "evidence.item")[0])
        self.assertIn("one of: granted, partial, refused, postponed, impossible, needs-clarification", out)

    def test_kinds__markdown_has_a_picture_of_every_machine(self):
        out, _ = self.run_cli("kinds", "--markdown")
        kinds = self.kinds()
        for kind in kinds:
            self.assertIn(f"\n### {kind['kind']}\n", out)
        machines = {kind["begins"] for kind in kinds if kind["begins"]}
        self.assertEqual(out.count("```mermaid\nstateDiagram-v2\n"), len(machines))
        for machine in machines:
            self.assertIn(f"\n### Thread: {machine}\n", out)
        for line in re.findall(r"(?m)^    .*-->.*$", out):
            self.assertRegex(line, r"\A    (\[\*\]|[a-z_]+) --> (\[\*\]|[a-z_]+)( : [a-z].*)?\Z")


class Editing(WithNode):
    """`entente send --edit` with an editor that is a program."""

    def setUp(self):
        super().setUp()
        self.route("POST", "/messages", SENT)
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()

    def editor(self, code):
        """An editor that runs Python with the file's path in `path`, its JSON in `body`, and writes `body` back."""
        script = self.folder / "editor"
        script.write_text(f"#!{sys.executable}\nimport json, os, sys, shutil\npath = sys.argv[-1]\nshutil.copy(path, 'seen.json')\n"
                          f"body = json.load(open(path, encoding='utf-8'))\n{code}\n"
                          "json.dump(body, open(path, 'w', encoding='utf-8'))\nopen(path + '~', 'w').write('backup')\n")
        script.chmod(0o755)
        return {"EDITOR": str(script), "VISUAL": "", "TMPDIR": str(self.temporary)}

    def sent(self):
        return json.loads(self.asked()[3])

    def seen(self):
        return json.loads((self.folder / "seen.json").read_text())

    def test_edit__form_of_each_kind_becomes_a_valid_body(self):
        """Whoever writes the example's values over the notes of a form sends the example."""
        for kind in json.loads(self.run_cli("kinds", "--json")[0])["kinds"]:
            if kind["by_node"] or kind["by_neutral"] or kind["kind"] == "proposal.accept":
                continue
            with self.subTest(kind=kind["kind"]):
                example = json.loads(self.run_cli("kinds", kind["kind"], "--json")[0])["example"]
                env = self.editor(f"example = json.loads({json.dumps(json.dumps(example))})\nbody['fields'].update(example['fields'])\n"
                                  "body['fields'] = {k: v for k, v in body['fields'].items()}\n"
                                  "for k in ('text', 'authentic', 'stix', 'files'):\n    if k in example: body[k] = example[k]")
                where = ["--reply-to", MSG] if kind["needs_reply_to"] else ["--channel", "north"]
                out, err = self.ask("send", kind["kind"], *where, "--edit", env=env)
                self.assertEqual(out, MSG + "\n")
                self.assertIn(kind["title"], err)
                sent = self.sent()["body"]
                self.assertEqual({k: v for k, v in sent.items() if v}, {k: v for k, v in example.items() if v})
                form = self.seen()
                schema = json.loads(self.run_cli("kinds", kind["kind"], "--json")[0])["schema"]
                self.assertEqual(sorted(form["fields"]), sorted(schema.get("properties", {})))
                required = [name for name in form["fields"] if name in schema.get("required", [])]
                self.assertEqual(list(form["fields"])[:len(required)], required)
        self.assertEqual(list(self.temporary.iterdir()), [])

    def test_edit__what_is_left_is_told_and_kept(self):
        env = self.editor("body['fields']['title'] = 'Logs'")
        _, err = self.ask("send", "request.preservation", "--channel", "north", "--to", "boreal.example", "--urgency", "flash",
                          "--marking", "amber", "--exercise", "--edit", env=env, status=1)
        self.assertIn("fields.authority.name, ", err)
        self.assertIn("text.en", err)
        self.assertNotIn("fields.title", err)
        self.assertIn("EXERCISE: Request for preservation (request.preservation) in channel north, to boreal.example; urgency flash; "
                      "marking TLP:AMBER", err)
        kept = re.search(r"kept in (\S+);", err).group(1)
        self.assertTrue(Path(kept).is_relative_to(self.temporary))
        self.assertEqual(stat.S_IMODE(Path(kept).stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(Path(kept).parent.stat().st_mode), 0o700)
        self.assertEqual(self.server.requests, [])
        example = json.loads((EXAMPLES / "request.preservation.json").read_text())
        env = self.editor(f"example = json.loads({json.dumps(json.dumps(example))})\nassert body['fields']['title'] == 'Logs'\n"
                          "title = body['fields']['title']\nbody['fields'].update(example['fields'])\nbody['fields']['title'] = title\n"
                          "body['text'] = example['text']")
        self.ask("send", "request.preservation", "--channel", "north", "--edit", "--body", kept, env=env)
        self.assertEqual(self.sent()["body"]["fields"], dict(example["fields"], title="Logs"))

    def test_edit__errors_name_field_given_and_allowed(self):
        example = json.loads((EXAMPLES / "incident.notification.json").read_text())
        fill = f"example = json.loads({json.dumps(json.dumps(example))})\nbody['fields'].update(example['fields'])\nbody['text'] = example['text']\n"
        _, err = self.ask("send", "incident.notification", "--channel", "north", "--edit",
                          env=self.editor(fill + "body['fields']['severity'] = 'terrible'"), status=1)
        for words in ("fields.severity", "terrible", "critical"):
            self.assertIn(words, err)
        _, err = self.ask("send", "incident.notification", "--channel", "north", "--edit",
                          env=self.editor(fill + "body['fields']['title'] = '<required: the title we want>'"), status=1)
        self.assertIn("fields.title: write your text instead of the whole note", err)
        self.assertEqual(self.server.requests, [])

    def test_edit__emptied_file_and_failed_editor_send_nothing(self):
        env = self.editor("open(path, 'w').close(); sys.exit(0)")
        self.assertIn("nothing was sent", self.ask("send", "request.takedown", "--channel", "north", "--edit", env=env, status=1)[1])
        self.assertEqual(list(self.temporary.iterdir()), [])
        _, err = self.ask("send", "request.takedown", "--channel", "north", "--edit", env=self.editor("sys.exit(3)"), status=1)
        self.assertIn("did not end well", err)
        self.assertIn("kept in", err)
        self.ask("send", "request.takedown", "--channel", "north", "--edit", env=self.editor("open(path, 'w').write('{')\nsys.exit(0)"), status=1)
        self.assertEqual(self.server.requests, [])

    def test_edit__unsent_body_is_kept_whole(self):
        self.route("POST", "/messages", {"error": {"code": "refused", "rule": "design 5", "text": "the thread does not take it"}}, 409)
        example = json.loads((EXAMPLES / "answer.response.json").read_text())
        env = self.editor(f"body = json.loads({json.dumps(json.dumps(example))})")
        _, err = self.ask("send", "answer.response", "--reply-to", MSG, "--edit", env=env, status=1)
        self.assertIn("the thread does not take it", err)
        kept = re.search(r"kept in (\S+);", err).group(1)
        self.assertEqual(json.loads(Path(kept).read_text()), example)
        self.route("POST", "/messages", SENT)
        self.ask("send", "answer.response", "--reply-to", MSG, "--body", kept)
        self.assertEqual(self.sent()["body"], example)

    def test_edit__text_of_others_cannot_act_in_the_editor(self):
        body = {"fields": {"title": "x" + "".join(HIDDEN) + "y مرحبا Привет", "later": [EVIL]}, "text": {"en": "a\u202eb"}, "authentic": "en"}
        (self.folder / "body.json").write_text(json.dumps(body))
        env = self.editor("shutil.copy(path, 'raw')\nsys.exit(1)")
        self.ask("send", "request.takedown", "--channel", "north", "--edit", "--body", "body.json", env=env, status=1)
        raw = (self.folder / "raw").read_text()
        for character in HIDDEN + ["\u202e", "\u009b"]:
            self.assertNotIn(character, raw, repr(character))
        self.assertIn("مرحبا Привет", raw)
        seen = self.seen()
        self.assertEqual((seen["fields"]["title"], seen["fields"]["later"], seen["text"]), (body["fields"]["title"], [EVIL], body["text"]))

    def test_edit__unknown_kind_and_language(self):
        env = self.editor("body['fields']['a'] = 1\nbody['text'] = {'fr': 'Voilà', 'ar': 'مرحبا'}\nassert body['authentic'] == 'fr'")
        self.ask("send", "later.kind", "--channel", "north", "--edit", "--lang", "fr", env=env)
        self.assertEqual(self.sent()["body"], {"fields": {"a": 1}, "text": {"fr": "Voilà", "ar": "مرحبا"}, "authentic": "fr"})

    def test_edit__on_a_terminal_asks_to_edit_again(self):
        example = json.loads((EXAMPLES / "request.takedown.json").read_text())
        env = self.editor(f"""
count = int(open('count').read()) if os.path.exists('count') else 0
open('count', 'w').write(str(count + 1))
if count > 0:
    body = json.loads({json.dumps(json.dumps(example))})""")
        for reply, status in ((b"y\n", 0), (b"n\n", 1)):
            (self.folder / "count").unlink(missing_ok=True)
            ours, theirs = pty.openpty()
            environment = dict(os.environ, **env)
            with subprocess.Popen([ENTENTE, "send", "request.takedown", "--channel", "north", "--edit", "--dir", "d"], stdin=theirs,
                                  stderr=theirs, stdout=subprocess.PIPE, cwd=self.folder, env=environment) as running:
                os.close(theirs)
                shown = b""
                while b"Edit again?" not in shown:
                    shown += os.read(ours, 65536)
                self.assertIn(b"still hold their notes", shown)
                os.write(ours, reply)
                self.assertEqual(running.wait(timeout=20), status)
            os.close(ours)
        self.assertEqual(self.sent()["body"], example)


class Accepting(WithNode):
    def setUp(self):
        super().setUp()
        subprocess.run([EVIDENCE, self.folder], check=True)
        self.entry = (self.folder / "attack.entry").read_text()
        self.digest = json.loads(self.entry)["body"]["digest"]
        self.route("POST", "/messages", SENT)
        self.route("GET", "/messages/" + MSG, {"entry": self.entry})

    def test_accept__names_the_digest_of_what_it_answers(self):
        self.ask("send", "proposal.accept", "--reply-to", MSG)
        self.assertEqual(json.loads(self.asked()[3])["body"], {"fields": {"digest": self.digest}})
        self.ask("send", "proposal.accept", "--reply-to", MSG, "--body", "-", stdin=b'{"fields":{"note":"yes"}}')
        self.assertEqual(json.loads(self.asked()[3])["body"], {"fields": {"note": "yes", "digest": self.digest}})

    def test_send__a_name_that_is_no_field_is_told(self):
        self.route("POST", "/messages", {"message": MSG, "done": True})
        body = {"fields": {"outcome": "granted", "reson": "typed \u202e"}, "text": {"en": "Yes."}, "authentic": "en"}
        _, err = self.ask("send", "answer.response", "--reply-to", MSG, "--body", "-", stdin=json.dumps(body).encode())
        self.assertIn("answer.response has no field of this name: reson; it is sent as it is", err)
        del body["fields"]["reson"]
        _, err = self.ask("send", "answer.response", "--reply-to", MSG, "--body", "-", stdin=json.dumps(body).encode())
        self.assertNotIn("no field", err)

    def test_send__a_number_too_large_is_told_by_its_field(self):
        for text, word in ((b'{"fields":{"title":"7 \\" 9", "a": [1, 2.5e3, 18446744073709551615], "count" : 18446744073709551616}}',
                            '"count": the number 18446744073709551616 is larger'),
                           (b'{"fields":{"count":' + b"9" * 400 + b"}}", '"count": the number ' + "9" * 24 + "... is larger"),
                           (b'{"fields":{"count":-99999999999999999999}}', '"count": the number 99999999999999999999'),
                           (b'{"fields":{"title":"99999999999999999999', "begins like a JSON object but is none"),
                           (b'{"fields":{"title":"\\', "begins like a JSON object but is none"),
                           (b'{"fields":{"count":1.99999999999999999999e}}', "begins like a JSON object but is none")):
            _, err = self.ask("send", "answer.response", "--reply-to", MSG, "--body", "-", stdin=text, status=1)
            self.assertIn(word, err)

    def test_accept__own_digest_stands(self):
        self.ask("send", "proposal.accept", "--reply-to", MSG, "--body", "-", stdin=json.dumps({"fields": {"digest": "ab" * 32}}).encode())
        self.assertEqual(json.loads(self.asked()[3])["body"], {"fields": {"digest": "ab" * 32}})
        self.assertEqual(len(self.server.requests), 1)

    def test_accept__entry_that_is_none_is_told(self):
        self.route("GET", "/messages/" + MSG, {"entry": "{}"})
        self.assertIn("the entry of " + MSG, self.ask("send", "proposal.accept", "--reply-to", MSG, status=1)[1])


class Agreement(WithNode):
    def test_agreement__new_passes_check_unchanged(self):
        out, _ = self.run_cli("agreement", "new")
        (self.folder / "a.json").write_text(out)
        checked, err = self.run_cli("agreement", "check", "a.json")
        self.assertTrue(checked.endswith("\nValid\n"), checked)
        for words in ("24 h", "72 h", "15 min", "30 d", "Protected systems", "nuclear-safety", "who has given 5 more may hold back", "mon-fri 06:00-16:00"):
            self.assertIn(words, checked)
        _, err = self.run_cli("agreement", "new", "-o", "b.json", "--parties", "aurora.example,boreal.example,corvus.example")
        self.assertIn("agreement check b.json", err)
        made = json.loads((self.folder / "b.json").read_text())
        self.assertEqual(made["parties"], ["aurora.example", "boreal.example", "corvus.example"])
        result = json.loads(self.run_cli("agreement", "check", "b.json", "--json")[0])
        self.assertEqual((result["valid"], result["warnings"], result["parties"]), (True, [], made["parties"]))

    def test_agreement__check_warns(self):
        terms = json.loads(self.run_cli("agreement", "new")[0])
        terms["later" + EVIL] = 1
        terms["validity"] = {"from": "2001-01-01T00:00:00Z", "until": "2002-01-01T00:00:00Z"}
        terms["two_officers"] = ["channel.override"]
        terms["deadlines"] = [row for row in terms["deadlines"] if row["kind"] != "request.takedown"]
        (self.folder / "a.json").write_text(json.dumps(terms))
        out, _ = self.run_cli("agreement", "check", "a.json")
        self.safe(out)
        for words in ("Valid, with warnings", "not known to this version, ignored", "it has ended", "two_officers", "no deadline for: request.takedown"):
            self.assertIn(words, out)

    def test_agreement__check_refuses_with_the_reason(self):
        good = json.loads(self.run_cli("agreement", "new")[0])
        (self.folder / "a.json").write_text("{")
        self.refused("agreement", "check", "a.json", status=1, word="a.json is no agreement")
        for change, word in (({"parties": ["a.b"]}, "parties"), ({"deadlines": 1}, "deadlines"),
                             ({"validity": {"from": "2021-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z"}}, "until"),
                             ({"validity": {"from": "2016-12-31T23:59:60Z", "until": "2021-01-01T00:00:00Z"}}, "from")):
            (self.folder / "a.json").write_text(json.dumps(dict(good, **change)))
            self.refused("agreement", "check", "a.json", status=1, word=word)
        self.refused("agreement", "check", "absent.json", status=1, word="absent.json")
        good["deadlines"][0]["answer_s"] = 0
        error = json.loads(self.run_cli("agreement", "check", "-", "--json", stdin=json.dumps(good).encode(), status=1)[1])["error"]
        self.assertIn("deadlines[0].answer_s", error["text"])

    def test_agreement__diff(self):
        terms = json.loads(self.run_cli("agreement", "new")[0])
        (self.folder / "a.json").write_text(json.dumps(terms))
        terms["deadlines"].reverse()
        (self.folder / "b.json").write_text(json.dumps(terms, indent=3))
        self.assertIn("say the same", self.run_cli("agreement", "diff", "a.json", "b.json")[0])
        terms["languages"].append("ar")
        (self.folder / "b.json").write_text(json.dumps(terms))
        self.assertIn('language "ar": added', self.run_cli("agreement", "diff", "a.json", "b.json")[0])
        result = json.loads(self.run_cli("agreement", "diff", "a.json", "b.json", "--json")[0])
        self.assertEqual(result, {"same": False, "changes": ['language "ar": added']})

    def test_agreement__check_blames_the_party_that_stands_twice(self):
        for parties in (["aurora.example"] * 2, ["aurora.example", "boreal.example", "aurora.example"]):
            (self.folder / "a.json").write_bytes(self.terms(parties=parties))
            _, err = self.run_cli("agreement", "check", "a.json", status=1)
            self.assertIn('parties: "aurora.example" stands twice', err)

    def test_agreement__fields(self):
        out, _ = self.run_cli("agreement", "fields")
        self.assertIn("deadlines[].acknowledge_s", out)
        self.assertIn("properties", json.loads(self.run_cli("agreement", "fields", "--json")[0]))

    # ---- in a channel

    def channel(self, terms, amendments=()):
        """A node whose channel was founded on these terms, and amended by others; gives their commitment."""
        def fields(content, salt):
            return {"salt": salt.hex(), "terms": base64.b64encode(content).decode()}

        def commitment(content, salt):
            return hashlib.sha256(salt + content).hexdigest()
        salt = b"s" * 32
        self.route("GET", "/channels/north", {"id": CHANNEL_ID, "alias": "north", "terms_commitment": commitment(terms, salt),
                                              "members": [{"name": "boreal.example", "self": False}, {"name": "aurora.example", "self": True}]})
        self.route("GET", "/bodies/north/aurora.example/0", {"fields": fields(terms, salt)})
        in_force = commitment(terms, salt)
        rows = []
        for number, content in enumerate(amendments):
            salt = bytes([number]) * 32
            message = f"{CHANNEL_ID}/boreal.example/{number + 5}"
            rows.append({"message": message, "replaces": in_force, "state": "accepted"})
            self.route("GET", "/bodies/" + message, {"fields": dict(fields(content, salt), replaces=in_force)})
            in_force = commitment(content, salt)
        self.route("GET", "/ledger", {"agreement": {"commitment": in_force, "amendments": rows}})
        return in_force

    def terms(self, **change):
        terms = json.loads(self.run_cli("agreement", "new", "--parties", "aurora.example,boreal.example")[0])
        terms.update(change)
        return json.dumps(terms).encode()

    def check(self, *arguments, **more):
        """The body of a comm check that is sent, and how long it leaves for the answer."""
        self.route("POST", "/messages", SENT)
        before = time.time()
        self.ask("send", "contact.check", *arguments, **more)
        body = json.loads(self.asked()[3])["body"]
        reply_by = body["fields"].get("reply_by")
        return body, reply_by and datetime.fromisoformat(reply_by).timestamp() - before

    def test_check__without_a_body_asks_with_a_fresh_nonce(self):
        first, within = self.check("--channel", "north")  # no terms can be had: an hour
        self.assertAlmostEqual(within, 3600, delta=30)
        self.assertEqual(set(first["fields"]), {"nonce", "reply_by"})
        self.assertRegex(first["fields"]["nonce"], "^[0-9a-f]{32}$")
        self.channel(self.terms(comm_checks={"every_s": 86400, "reply_within_s": 600}))
        second, within = self.check("--channel", "north", "--body", "-", stdin=b"Is the line up?")
        self.assertAlmostEqual(within, 600, delta=30)
        self.assertNotEqual(first["fields"]["nonce"], second["fields"]["nonce"])
        self.assertEqual(second["text"], {"en": "Is the line up?"})
        self.channel(b"no agreement")
        self.assertAlmostEqual(self.check("--channel", "north")[1], 3600, delta=30)
        example = json.loads((EXAMPLES / "contact.check.json").read_text())
        self.assertEqual(self.check("--channel", "north", "--body", EXAMPLES / "contact.check.json")[0], example)

    def test_check__in_reply_answers_with_the_nonce(self):
        self.route("GET", "/bodies/" + MSG, {"fields": {"nonce": "ab" * 16, "reply_by": "2021-06-01T12:00:00Z"}})
        body, _ = self.check("--reply-to", MSG)
        self.assertEqual(body, {"fields": {"echo": "ab" * 16, "answered_by": "officer"}})
        own = {"fields": {"echo": "cd" * 16}}
        self.assertEqual(self.check("--reply-to", MSG, "--body", "-", stdin=json.dumps(own).encode())[0], own)
        for fields in ({"title": "A request"}, [], {"nonce": 7}):
            self.route("GET", "/bodies/" + MSG, {"fields": fields})
            self.assertIn("no comm check", self.ask("send", "contact.check", "--reply-to", MSG, status=1)[1])
        self.route("GET", "/bodies/" + MSG, {"fields": {"nonce": "evil " + EVIL}})
        self.assertIn("fields.echo", self.ask("send", "contact.check", "--reply-to", MSG, status=1)[1])

    def test_agreement__show_finds_the_terms_in_force(self):
        first, second, third = (self.terms(title=title) for title in ("One", "Two", "Three"))
        commitment = self.channel(first)
        out, _ = self.ask("agreement", "show", "--channel", "north")
        self.assertTrue(out.startswith("One\n"))
        self.assertIn(commitment, out)
        commitment = self.channel(first, [second, third])
        self.ask("agreement", "show", "--channel", "north", "-o", "terms.json")
        self.assertEqual((self.folder / "terms.json").read_bytes(), third)
        shown = json.loads(self.ask("agreement", "show", "--channel", "north", "--json")[0])
        self.assertEqual((shown["commitment"], base64.b64decode(shown["terms"]), shown["readable"]), (commitment, third, True))
        self.assertEqual(self.ask("agreement", "show", "--channel", "north", "-o", "-", text=False)[0], third)

    def test_agreement__show_never_takes_other_bytes(self):
        self.channel(self.terms())
        self.route("GET", "/bodies/north/aurora.example/0", {"fields": {"salt": "00" * 32, "terms": "e30="}})
        self.assertIn("no message that is held here", self.ask("agreement", "show", "--channel", "north", status=1)[1])
        self.channel(b"not json")
        self.assertIn("not readable as an agreement", self.ask("agreement", "show", "--channel", "north")[0])

    def test_agreement__propose(self):
        commitment = self.channel(self.terms())
        self.route("POST", "/messages", SENT)
        new = self.terms(languages=["en", "ar"])
        (self.folder / "new.json").write_bytes(new)
        out, err = self.ask("agreement", "propose", "new.json", "--channel", "north", "--urgency", "priority", "--body", "-", "--lang", "fr",
                            stdin="Voilà.".encode())
        self.assertEqual(out, MSG + "\n")
        self.assertIn("entente agreement accept", err)
        sent = json.loads(self.asked()[3])
        self.assertEqual((sent["kind"], sent["urgency"], sent["reply_to"]), ("channel.amendment", "priority", None))
        fields = sent["body"]["fields"]
        self.assertEqual(sent["body"]["text"], {"fr": "Voilà."})
        self.assertEqual((fields["replaces"], base64.b64decode(fields["terms"])), (commitment, new))
        self.assertRegex(fields["salt"], r"\A[0-9a-f]{64}\Z")
        self.assertEqual(fields["summary"], 'language "ar": added')
        self.ask("agreement", "propose", "new.json", "--channel", "north", "--summary", "One more language")
        again = json.loads(self.asked()[3])["body"]["fields"]
        self.assertEqual(again["summary"], "One more language")
        self.assertNotEqual(again["salt"], fields["salt"])

    def test_agreement__propose_refuses_what_makes_no_sense(self):
        self.channel(self.terms())
        (self.folder / "same.json").write_bytes(self.terms() + b"\n")
        (self.folder / "bad.json").write_text("{}")
        self.assertIn("nothing to amend", self.ask("agreement", "propose", "same.json", "--channel", "north", status=1)[1])
        self.assertIn("bad.json is no agreement", self.ask("agreement", "propose", "bad.json", "--channel", "north", status=1)[1])
        self.assertNotIn("POST", [request[0] for request in self.server.requests])

    def test_agreement__accept(self):
        subprocess.run([EVIDENCE, self.folder], check=True)
        entry = (self.folder / "attack.entry").read_text()
        commitment = self.channel(self.terms())
        new = {"salt": "07" * 32, "terms": base64.b64encode(self.terms(title="Better \u202eevil")).decode(), "replaces": commitment}
        self.route("GET", "/bodies/" + MSG, {"fields": new})
        self.route("GET", "/messages/" + MSG, {"entry": entry})
        self.route("POST", "/messages", SENT)
        out, err = self.ask("agreement", "accept", MSG)
        self.assertEqual(out, MSG + "\n")
        self.safe(err)
        self.assertIn("Better", err)
        sent = json.loads(self.asked()[3])
        self.assertEqual((sent["kind"], sent["reply_to"], sent["body"]["fields"]),
                         ("proposal.accept", MSG, {"digest": json.loads(entry)["body"]["digest"]}))
        for change, word in (({"replaces": "00" * 32}, "not in force"), ({"terms": "e30="}, "no agreement to this version"),
                             ({"salt": "x"}, "gives no terms")):
            self.route("GET", "/bodies/" + MSG, {"fields": dict(new, **change)})
            self.assertIn(word, self.ask("agreement", "accept", MSG, status=1)[1])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
