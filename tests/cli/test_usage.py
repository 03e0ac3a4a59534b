#!/usr/bin/env python3
"""The command line from outside: help, mistakes, no node, a stand-in for the node, files made and files verified.

usage: test_usage.py ENTENTE EVIDENCE [TEST]..."""

import base64
import fcntl
import http.server
import json
import os
import pty
import re
import signal
import shutil
import socketserver
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest
import urllib.parse
from pathlib import Path

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../outside"))
from formats import Pouch  # noqa: E402

os.environ.pop("COLUMNS", None)  # tables in pipes would fit it
ENTENTE = os.path.abspath(sys.argv[1])
EVIDENCE = os.path.abspath(sys.argv[2])

VERBS = ["init", "card", "peer add", "peer list", "peer show", "peer remove", "channel open", "channel list",
         "channel show", "channel accept", "channel refuse", "send", "list", "show", "open", "watch", "prove", "verify",
         "pouch export", "pouch import", "status", "doctor", "agreement new", "agreement check", "agreement diff", "agreement fields",
         "agreement show", "agreement propose", "agreement accept", "kinds", "alerts", "ledger", "report", "audit", "release", "recover", "backup", "restore", "key show", "key rotate", "key revoke",
         "key prepare", "key sign", "key install",
         "fork list", "fork export", "fork import", "reveal"]
# Verbs that need no node.
ALONE = ["init", "key sign", "restore", "card", "verify", "kinds", "audit", "doctor", "agreement new", "agreement check", "agreement diff", "agreement fields"]
MSG = "north/aurora.example/3"
CHANNEL_ID = "5d1f09ab" * 8
POUCH = Pouch(f"aurora.example/entente/{CHANNEL_ID}", 5, 5, checkpoint=b"a signed head\n").encode()

# Mistakes that every verb must turn down: arguments, and a word that the reason holds.
MISTAKES = {
    "init": [([], "--name"), (["--name", "aurora"], "party's name"), (["--name", "a.b", "--listen", "8443"], "--listen"),
             (["--name", "a.b", "--air-gapped", "--url", "https://x"], "air-gapped"), (["--name", "a.b", "extra"], "too many"),
             (["--name", "a.b", "--contact", "x"], "--contact"), (["--name", "a.b", "--listen", "h:0"], "--url"),
             (["--name", "a.b", "--url", "ftp://x"], "url")],
    "card": [(["extra"], "too many"), (["--fingerprint=x"], "no value")],
    "peer add": [([], "missing"), (["a", "b"], "too many"), (["a", "--fingerprint"], "needs a value")],
    "peer list": [(["x"], "too many")],
    "peer show": [([], "missing"), (["North"], "party's name")],
    "peer remove": [([], "missing"), (["no name"], "party's name")],
    "channel open": [([], "--with"), (["--with", "b.c"], "--terms"), (["--with", "B", "--terms", "/dev/null"], "party's name"),
                     (["--with", "b.c", "--terms", "/dev/null", "--neutral", "n.o"], "--neutral"),
                     (["--with", "b.c", "--terms", "/dev/null", "--succeeds", "A/b"], "channel")],
    "channel list": [(["x"], "too many")],
    "channel show": [([], "missing"), (["a/b"], "not a channel")],
    "channel accept": [([], "missing"), (["x", "--alias"], "needs a value")],
    "channel refuse": [([], "missing"), (["x", "--alias", "y"], "no option")],
    "send": [([], "missing"), (["incident"], "kind"), (["a.b"], "channel"), (["a.b", "--channel", "c/d"], "not a channel"),
             (["a.b", "--channel", "c", "--urgency", "now"], "urgency"), (["a.b", "--channel", "c", "--marking", "blue"], "marking"),
             (["a.b", "--channel", "c", "--wait", "long"], "--wait"), (["a.b", "--channel", "c", "--timeout", "3"], "--wait"),
             (["a.b", "--channel", "c", "--wait", "receipt", "--timeout", "x"], "number"),
             (["a.b", "--channel", "c", "--to", "X"], "party's name"), (["a.b", "--channel", "c", "--reply-to", "3"], "CHANNEL/PARTY/INDEX"),
             (["a.b", "--channel", "c", "--lang", "fr"], "--lang"), (["a.b", "--channel", "c"] + ["--attach", "f"] * 17, "16"),
             (["answer.response", "--channel", "c"], "--reply-to"), (["neutral.open", "--channel", "c"], "neutral alone"),
             (["channel.notice", "--reply-to", MSG], "node itself"), (["a.b", "--channel", "c", "--edit", "--body", "-"], "--edit")],
    "list": [(["x"], "too many"), (["--since", "yesterday"], "--since"), (["--thread", "x"], "CHANNEL/PARTY/INDEX"),
             (["--limit", "many"], "--limit"), (["--channel", "a/b"], "not a channel")],
    "show": [([], "missing"), (["north/aurora.example"], "CHANNEL/PARTY/INDEX"), (["north/aurora.example/03"], "CHANNEL/PARTY/INDEX"),
             (["north/Aurora/3"], "CHANNEL/PARTY/INDEX"), (["/a.b/3"], "CHANNEL/PARTY/INDEX")],
    "open": [([], "missing"), ([MSG, "--attachment", "0"], "-o"), ([MSG, "--attachment", "x", "-o", "f"], "number")],
    "watch": [(["x"], "too many")],
    "prove": [([], "missing"), ([MSG], "-o"), (["x", "-o", "y"], "CHANNEL/PARTY/INDEX")],
    "verify": [([], "missing"), (["f", "--crd", "c"], "no option")],
    "pouch export": [([], "--channel"), (["--channel", "c"], "--to"), (["--channel", "c", "--to", "b.c"], "-o"),
                     (["--channel", "c", "--to", "B", "-o", "f"], "party's name")],
    "pouch import": [([], "missing"), (["a", "b"], "too many")],
    "fork list": [(["x"], "too many"), (["--channel", "a/b"], "not a channel")],
    "fork export": [([], "missing"), (["c/b.c"], "-o"), (["c", "-o", "f"], "CHANNEL/PARTY"), (["c/b.c/3", "-o", "f"], "CHANNEL/PARTY")],
    "fork import": [([], "missing"), (["a", "b"], "too many")],
    "reveal": [([], "missing"), (["x"], "CHANNEL/PARTY/INDEX"), ([MSG, "--reason"], "needs a value")],
    "status": [(["x"], "too many")],
    "alerts": [(["x"], "alerts"), (["list", "x"], "too many")],
    "audit": [(["x"], "audit")], "doctor": [(["x"], "doctor")],
    "kinds": [(["request.nothing"], "no kind"), (["request", "x"], "too many"), (["contact.check", "--markdown"], "--markdown"),
              (["request", "--markdown"], "--markdown")],
    "agreement new": [(["x"], "too many"), (["--parties", "a.b"], "two parties"), (["--parties", "a.b,B"], "party's name"),
                      (["--parties", "a.b,c.d,a.b"], "twice"), (["--parties", ",".join(f"p{i}.example" for i in range(33))], "32")],
    "agreement check": [([], "missing"), (["a", "b"], "too many")],
    "agreement diff": [(["a"], "missing"), (["a", "b", "c"], "too many")],
    "agreement fields": [(["x"], "too many")],
    "agreement show": [([], "--channel"), (["--channel", "a/b"], "not a channel")],
    "agreement propose": [([], "missing"), (["f"], "--channel"), (["f", "--channel", "c", "--urgency", "now"], "urgency"),
                          (["f", "--channel", "c", "--lang", "fr"], "--lang"), (["f", "--channel", "c", "--timeout", "3"], "--wait")],
    "ledger": [(["x"], "too many"), (["--at", "yesterday"], "--at"), (["--at", "2016-12-31T23:59:60Z"], "--at"), (["--channel", "a/b"], "not a channel"),
               (["--lines", "all"], "--lines"), (["--lines", "state", "--digest"], "--lines"), (["--digest=x"], "no value")],
    "backup": [([], "FILE"), (["x", "--with-keys"], "--passphrase-file"), (["x", "--passphrase-file", "y"], "--with-keys"),
               (["x", "y"], "too many")],
    "restore": [([], "FILE"), (["x", "y"], "too many")],
    "recover": [([], "--from"), (["--from", "x"], "party's name"), (["--from", "a.b", "--channel", "a/b"], "not a channel"),
                (["--from", "a.b", "x"], "too many")],
    "release": [([], "CHANNEL"), (["north"], "--accept-fork-risk"), (["a/b", "--accept-fork-risk"], "not a channel"),
                (["north", "x"], "too many")],
    "key show": [(["x"], "too many")],
    "key rotate": [([], "missing"), (["door"], "log, receipt, age, tls or root"), (["log", "--reason", "fun"], "--reason")],
    "key revoke": [([], "missing"), (["log", "x"], "log, receipt, age, tls or root"), (["log", "--root-dir"], "needs a value")],
    "key prepare": [([], "missing"), (["door"], "log, receipt, age, tls or root"), (["log", "--reason", "fun"], "--reason"), (["log", "-o"], "needs a value")],
    "key sign": [([], "missing"), (["a", "b"], "too many"), (["a", "--root-dir"], "needs a value")],
    "key install": [([], "missing"), (["a", "b"], "too many"), (["a", "--root-dir", "x"], "no option")],
    "report": [([], "--channel"), (["x"], "too many"), (["--channel", "a/b"], "not a channel"), (["--channel", "c", "--from", "x"], "--from"),
               (["--channel", "c", "--to", "2021-02-30"], "--to"), (["--channel", "c", "--from", "2021-02-02", "--to", "2021-02-01"], "later"),
               (["--channel", "c", "-o", "-"], "two files")],
    "agreement accept": [([], "missing"), (["x"], "CHANNEL/PARTY/INDEX"), ([MSG, "--wait", "long"], "--wait")],
}

# What each verb that asks the node is tried with when there is none.
ASKING = {
    "peer add": ["CARD"], "peer list": [], "peer show": ["b.c"], "peer remove": ["b.c"],
    "channel open": ["--with", "b.c", "--terms", "CARD"], "channel list": [], "channel show": ["north"],
    "channel accept": ["north"], "channel refuse": ["north"], "send": ["a.b", "--channel", "north", "--body", "CARD"],
    "list": [], "show": [MSG], "open": [MSG], "watch": [], "prove": [MSG, "-o", "p"],
    "pouch export": ["--channel", "north", "--to", "b.c", "-o", "p"], "pouch import": ["CARD"], "status": [], "alerts": [],
    "agreement show": ["--channel", "north"], "agreement propose": ["CARD", "--channel", "north"], "agreement accept": [MSG],
    "ledger": [], "report": ["--channel", "north"], "release": ["north", "--accept-fork-risk"], "recover": ["--from", "boreal.example"], "backup": ["b.tar"],
    "key show": [], "key rotate": ["log"], "key prepare": ["log"], "key install": ["CARD"], "key revoke": ["tls"],
    "fork list": [], "fork export": ["north/b.c", "-o", "p"], "fork import": ["CARD"], "reveal": [MSG],
}


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_cli(self, *arguments, status=0, stdin=b"", text=True, env=None):
        environment = {k: v for k, v in os.environ.items() if k != "ENTENTE_DIR"}
        environment.update(env or {})
        done = subprocess.run([ENTENTE, *map(str, arguments)], input=stdin, capture_output=True, check=False, timeout=60,
                              cwd=self.folder, env=environment)
        self.assertEqual(done.returncode, status, f"entente {arguments}: {done.stdout!r} {done.stderr!r}")
        if text:
            return done.stdout.decode(), done.stderr.decode()
        return done.stdout, done.stderr.decode()

    def refused(self, *arguments, status=2, word=""):
        out, err = self.run_cli(*arguments, status=status)
        self.assertTrue(err.startswith("entente: "), err)
        self.assertIn(word, err)
        return out, err


class Help(Case):
    def test_help__lists_every_verb_and_no_other(self):
        out, err = self.run_cli("--help")
        self.assertEqual(err, "")
        listed = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", out, re.MULTILINE)
        self.assertEqual(sorted(listed), sorted(VERBS))
        self.assertEqual(self.run_cli("-h")[0], out)
        self.assertEqual(self.run_cli("help")[0], out)
        self.assertEqual(self.run_cli("help", "peer", "add")[0], self.run_cli("peer", "add", "--help")[0])

    def test_help__of_each_verb_with_examples(self):
        for verb in VERBS:
            out, err = self.run_cli(*verb.split(), "--help")
            self.assertEqual(err, "")
            self.assertTrue(out.startswith(f"entente {verb}: "), out)
            for word in ("usage: entente " + verb, "\nexamples:\n  ", "--dir DIR", "--json"):
                self.assertIn(word, out, verb)
            self.assertTrue(all(len(line) <= 118 for line in out.splitlines()), verb)
            self.assertEqual([line for line in out.splitlines() if line != line.rstrip()], [], verb)
            self.assertEqual(self.run_cli("-h", *verb.split())[0], out)

    def test_help__of_groups(self):
        for group in ("peer", "channel", "pouch", "agreement"):
            self.assertIn(f"{group} ", self.run_cli(group, "--help")[0])

    def test_version(self):
        self.assertRegex(self.run_cli("--version")[0], r"\Aentente \d+\.\d+\.\d+\n\Z")


class Mistakes(Case):
    def test_mistakes__every_verb_has_some(self):
        self.assertEqual(sorted(MISTAKES), sorted(VERBS))

    def test_mistakes__refused_with_status_2_and_what_next(self):
        for verb, cases in MISTAKES.items():
            for arguments, word in cases + [(["--frobnicate"], "no option --frobnicate")]:
                with self.subTest(verb=verb, arguments=arguments):
                    _, err = self.refused(*verb.split(), "--dir", self.folder / "party", *arguments, word=word)
                    self.assertLessEqual(len(err.splitlines()), 2)
        self.assertFalse((self.folder / "party" / "keys").exists())

    def test_mistakes__as_json(self):
        _, err = self.run_cli("show", "x", "--json", status=2)
        error = json.loads(err)["error"]
        self.assertEqual(error["code"], "usage")
        self.assertIn("CHANNEL/PARTY/INDEX", error["text"])
        self.assertEqual(json.loads(self.run_cli("sned", "--json", status=2)[1])["error"]["code"], "usage")

    def test_mistakes__unknown_verbs(self):
        self.refused("sned", word="entente send")
        self.refused("fly", word="entente --help")
        self.refused(word="a verb is missing")
        self.refused("peer", word="add, list, show, remove")
        self.refused("peer", "frob", word="add, list, show, remove")

    def test_mistakes__no_folder_named(self):
        for verb, arguments in ASKING.items():
            (self.folder / "CARD").write_text("x")
            self.refused(*verb.split(), *arguments, word="ENTENTE_DIR")
        self.refused("card", word="ENTENTE_DIR")
        self.refused("init", "--name", "a.b", word="ENTENTE_DIR")

    def test_mistakes__control_characters_are_not_echoed(self):
        _, err = self.refused("show", "\033[2J\u202e/x/1", "--dir", "d")
        self.assertNotIn("\033", err)
        self.assertNotIn("\u202e", err)


class NoNode(Case):
    def test_no_node__status_3_names_socket_and_command(self):
        self.assertEqual(sorted([*ASKING, *ALONE]), sorted(VERBS))
        (self.folder / "CARD").write_text("x")
        (self.folder / "d").mkdir()
        for verb, arguments in ASKING.items():
            with self.subTest(verb=verb):
                _, err = self.refused(*verb.split(), *arguments, "--dir", "d", status=3, word="no node answers on d/socket")
                self.assertIn("`entented --dir d`", err)
                _, err = self.run_cli(*verb.split(), *arguments, "--json", status=3, env={"ENTENTE_DIR": "d"})
                self.assertEqual(json.loads(err)["error"]["code"], "unreachable")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["CARD", "d"])

    def test_no_node__stale_socket_is_the_same(self):
        import socket
        (self.folder / "d").mkdir()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.folder / "d" / "socket"))
        listener.close()
        self.refused("status", "--dir", "d", status=3, word="no node answers on d/socket")

    def test_no_node__long_path_told(self):
        long = self.folder / ("x" * 120)
        long.mkdir()
        self.refused("status", "--dir", long, word="too long")


class Init(Case):
    def mode(self, *parts):
        return stat.S_IMODE((self.folder.joinpath(*parts)).stat().st_mode)

    def test_init__makes_a_party(self):
        out, err = self.run_cli("init", "--name", "aurora.example", "--dir", "a",
                                "--contact", "technical;Duty officer;CERT;+99 555 0100;duty@cert.example;en,fr;24/7")
        self.assertIn("root keys", err)
        self.assertIn("entented --dir a", out)
        fingerprint = self.run_cli("card", "--dir", "a", "--fingerprint")[0].strip()
        self.assertRegex(fingerprint, r"\A([0-9a-f]{4} ){9}[0-9a-f]{4}\Z")
        self.assertIn(fingerprint, out)
        self.assertEqual(self.mode("a"), 0o700)
        for folder in ("keys", "marks", "root"):
            self.assertEqual(self.mode("a", folder), 0o700)
            for path in (self.folder / "a" / folder).iterdir():
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)
        self.assertEqual(self.mode("a", "node.json"), 0o600)
        self.assertEqual(sorted(p.name for p in (self.folder / "a").iterdir()), ["card", "keys", "marks", "node.json", "root", "tls.crt"])
        config = json.loads((self.folder / "a" / "node.json").read_text())
        self.assertEqual(config, {"name": "aurora.example", "listen": "0.0.0.0:8443", "url": "https://aurora.example:8443",
                                  "air_gapped": False})
        card = self.run_cli("card", "--dir", "a")[0]
        self.assertEqual(card, (self.folder / "a" / "card").read_text())
        self.assertEqual(json.loads(card.splitlines()[1])["contacts"][0]["languages"], ["en", "fr"])
        self.assertEqual(json.loads(self.run_cli("card", "--json", env={"ENTENTE_DIR": "a"})[0])["card"], card)
        self.assertIn("VALID", self.run_cli("verify", "a/card")[0])

    def test_init__second_refused_and_harmless(self):
        self.run_cli("init", "--name", "aurora.example", "--dir", "a")
        before = {p: p.read_bytes() for p in (self.folder / "a").rglob("*") if p.is_file()}
        self.refused("init", "--name", "other.example", "--dir", "a", status=1, word="already")
        self.assertEqual(before, {p: p.read_bytes() for p in (self.folder / "a").rglob("*") if p.is_file()})

    def test_init__options(self):
        (self.folder / "stick").mkdir()
        out, err = self.run_cli("init", "--json", "--dir", "a", "--name", "aurora.example", "--listen", "127.0.0.1:9443",
                                "--root-dir", "stick")
        self.assertEqual(err, "")
        made = json.loads(out)
        self.assertEqual((made["url"], made["root_dir"]), ("https://aurora.example:9443", "stick"))
        self.assertTrue((self.folder / "stick" / "root.key").exists())
        self.assertFalse((self.folder / "a" / "root").exists())
        made = json.loads(self.run_cli("init", "--json", "--dir", "b", "--name", "boreal.example", "--air-gapped")[0])
        self.assertEqual((made["air_gapped"], made["url"], made["listen"]), (True, None, None))

    def test_init__passphrase_seals_the_keys(self):
        secret = self.folder / "pass"
        secret.write_text("correct horse\n")
        secret.chmod(0o600)
        _, err = self.run_cli("init", "--dir", "a", "--name", "aurora.example", "--passphrase-file", "pass")
        self.assertNotIn("others can read", err)
        for path in [*(self.folder / "a" / "keys").iterdir(), *(self.folder / "a" / "root").iterdir()]:
            self.assertIn("argon2id", path.read_text())
        secret.write_text("")
        self.refused("init", "--dir", "b", "--name", "b.c", "--passphrase-file", "pass", word="empty")
        self.refused("init", "--dir", "b", "--name", "b.c", "--passphrase-file", "absent", status=1, word="absent")

    def test_init__age_key_is_a_stock_identity(self):
        if shutil.which("age") is None:
            self.skipTest("age is not installed")
        self.run_cli("init", "--dir", "a", "--name", "aurora.example")
        recipient = re.search(r"age1[0-9a-z]+", (self.folder / "a" / "card").read_text()).group(0)
        sealed = subprocess.run(["age", "-r", recipient], input=b"hello", capture_output=True, check=True).stdout
        opened = subprocess.run(["age", "-d", "-i", self.folder / "a" / "keys" / "age.key"], input=sealed, capture_output=True,
                                check=True).stdout
        self.assertEqual(opened, b"hello")

    def test_init__parent_absent_is_a_reason(self):
        self.refused("init", "--dir", "no/such", "--name", "a.b", status=1, word="no/such")


# ---- a stand-in for the node -----------------------------------------------------

class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, body, dict(self.headers)))
        path, _, query = self.path.partition("?")
        route = self.server.routes.get((self.command, path))
        if callable(route):
            route = route(dict(urllib.parse.parse_qsl(query)), body)
        if route is None:
            route = (404, {"error": {"code": "not-found", "rule": None, "text": f"no {path} here"}})
        status, content = route
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if data:
            self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do_PUT = answer


class StreamHandler(Handler):
    def answer(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in self.server.events:
            if event is None:
                self.close_connection = True
                return
            line = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
            for piece in (line[:7], line[7:]):
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        time.sleep(30)

    do_GET = answer


EVIL = "\033[2J\u202eevil\u009b"
PEER = {"name": "boreal.example", "serial": 1, "fingerprint": "4f1a 22c0", "url": "https://boreal.example:8443",
        "added": "2021-05-01T00:00:00Z", "issued": "2021-04-01T00:00:00Z",
        "contacts": [{"role": "technical", "name": "Bo " + EVIL, "position": "Officer", "phone": "+1 555", "email": "b@c.d",
                      "languages": ["en", "ja"], "hours": "24/7"}]}
CHANNEL = {"id": CHANNEL_ID, "alias": "north", "state": "open", "added": "2021-05-01T00:00:00Z", "opener": "aurora.example",
           "members": [{"name": "aurora.example", "self": True, "size": 4, "frozen": False, "receipted_by_us": 4, "receipted_by_them": 4},
                       {"name": "boreal.example", "self": False, "size": 2, "frozen": True, "receipted_by_us": 2, "receipted_by_them": 3}],
           "terms_commitment": "77" * 32, "terms": {"purpose": EVIL}, "neutral": None, "delta_s": 300}
MESSAGE = {"message": MSG, "channel": CHANNEL_ID, "alias": "north", "party": "aurora.example", "index": 3,
           "time": "2021-05-30T09:12:00Z", "kind": "incident.notification", "title": "Incident notification",
           "subject": "Ransomware stops meat plants " + EVIL + " 日本語の題名", "thread": None, "reply_to": None, "to": [],
           "marking": "TLP:AMBER", "urgency": "flash", "exercise": True, "attachments": 1, "body_bytes": 900, "state": "sent",
           "answered_by": [], "contested": None}
DETAIL = dict(MESSAGE, entry='{"v":1}', leaf="ab" * 32, arrived="2021-05-30T09:12:01Z", time_flag="dated ahead", agreement="77" * 32,
              state="receipted", contested="boreal.example cannot open it " + EVIL, answered_by=["north/boreal.example/2"],
              receipts=[{"by": "boreal.example", "size": 5, "time": "2021-05-30T09:13:20Z", "flag": None}],
              attachment_list=[{"digest": "cd" * 32, "size": 1234567, "type": "text/plain", "name": "image" + EVIL, "state": "held",
                                "held_by": ["boreal.example"]}],
              acks=[{"origin": "boreal.example/entente/" + CHANNEL_ID, "size": 2, "root": "ef" * 32}])
BODY = {"fields": {"title": "Ransomware", "awareness_time": "2021-05-30T08:00:00Z", "affected": ["plants", {"country": "AU"}],
                   "empty": [], "evil": EVIL, "lines": "one\ntwo"},
        "text": {"en": "First line\nSecond " + EVIL, "fr": "Premier"}, "authentic": "fr",
        "stix": {"type": "bundle", "objects": [{"type": "malware", "name": "REvil"}, {"type": "indicator", "pattern": "[x]"}]},
        "files": [{"name": "image.dd", "description": "disk"}], "later": 1}
STATUS = {"name": "aurora.example", "version": "0.1.0", "started": "2021-05-01T00:00:00Z", "air_gapped": False, "listen": "0.0.0.0:8443",
          "url": "https://aurora.example:8443", "fingerprint": "4f1a", "channels": 1,
          "deliveries": [{"channel": CHANNEL_ID, "alias": "north", "peer": "boreal.example", "size": 4, "confirmed": 3,
                          "last_success": None, "last_attempt": "2021-05-30T09:12:00Z", "problem": "connection refused " + EVIL}],
          "attachments_to_send": 1, "held": [{"channel": CHANNEL_ID, "alias": "north", "hold": "asking", "reason": "not answered: " + EVIL,
                                            "since": "2021-05-30T09:12:00Z", "messages": 2, "release_in_s": 12}],
          "guarded_by_marks_alone": ["ab" * 32],
          "forks": [{"channel": CHANNEL_ID, "party": "boreal.example", "seen": "2021-05-30T09:12:00Z"}],
          "memory_bytes": 12345678, "disk_free_bytes": 99000000000}
PREFIX = "/api/v1"


class Terminal:
    """What a verb prints on a terminal of so many columns."""

    def on_terminal(self, columns, *arguments, env={"NO_COLOR": "1"}):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        environment.update(env, TERM="xterm")
        with subprocess.Popen([ENTENTE, *arguments, "--dir", "d"], stdout=theirs, cwd=self.folder, env=environment) as running:
            os.close(theirs)
            out = b""
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:
                    break
                if not piece:
                    break
                out += piece
            self.assertEqual(running.wait(), 0)
        os.close(ours)
        return out.decode()


class WithNode(Case):
    handler = Handler

    def setUp(self):
        super().setUp()
        (self.folder / "d").mkdir()
        self.server = UnixServer(str(self.folder / "d" / "socket"), self.handler)
        self.server.routes = {}
        self.server.requests = []
        self.server.events = []
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def route(self, method, path, content, status=200):
        self.server.routes[(method, PREFIX + path)] = content if callable(content) else (status, content)

    def ask(self, *arguments, **more):
        return self.run_cli(*arguments, "--dir", "d", **more)

    def asked(self):
        """The last request: method, path below the API, query, body."""
        method, path, body, _ = self.server.requests[-1]
        path, _, query = path.partition("?")
        return method, path.removeprefix(PREFIX), dict(urllib.parse.parse_qsl(query)), body

    def safe(self, text):
        for character in ("\033", "\u202e", "\u009b"):
            self.assertNotIn(character, text)
        self.assertIn("evil", text)


class Asking(WithNode, Terminal):
    def test_status(self):
        self.route("GET", "/status", STATUS)
        out, _ = self.ask("status")
        self.safe(out)
        for words in ("1 of 4 entries not receipted yet", "never reached", "problem: connection refused", "HELD", "FORK", "12.3 MB",
                      "99.0 GB", "1 attachment still"):
            self.assertIn(words, out)
        out, _ = self.ask("status", "--json")
        self.assertEqual(json.loads(out), STATUS)
        self.safe(out)

    def test_peers(self):
        card = self.folder / "boreal.card"
        card.write_text("a card")
        self.route("POST", "/peers", PEER)
        out, err = self.ask("peer", "add", "boreal.card")
        self.safe(out)
        self.assertIn("by telephone", err)
        self.assertEqual(self.asked(), ("POST", "/peers", {}, b"a card"))
        out, err = self.ask("peer", "add", "-", "--fingerprint", "4F1A 22:c0", stdin=b"from stdin")
        self.assertEqual(self.asked(), ("POST", "/peers", {"fingerprint": "4F1A 22:c0"}, b"from stdin"))
        self.assertEqual(err, "")
        self.route("GET", "/peers", {"peers": [PEER]})
        self.assertIn("boreal.example", self.ask("peer", "list")[0])
        self.route("GET", "/peers/boreal.example", PEER)
        out, _ = self.ask("peer", "show", "boreal.example")
        for words in ("+1 555", "en, ja", "24/7"):
            self.assertIn(words, out)
        self.route("GET", "/peers/boreal.example/card", b"a card\n")
        self.assertEqual(self.ask("peer", "show", "boreal.example", "--card")[0], "a card\n")
        self.route("DELETE", "/peers/boreal.example", {})
        self.assertIn("forgotten", self.ask("peer", "remove", "boreal.example")[0])

    def test_errors_of_the_node_keep_code_rule_and_status(self):
        for code, http_status, status in (("not-found", 404, 1), ("not-open", 409, 1), ("usage", 400, 2), ("busy", 503, 3), ("io", 500, 4),
                                          ("unreachable", 502, 3)):
            self.route("GET", "/channels/north", {"error": {"code": code, "rule": "design 2", "text": "why " + EVIL}}, http_status)
            _, err = self.ask("channel", "show", "north", status=status)
            self.assertIn("entente: why ", err)
            self.assertIn("\n  rule: design 2\n", err)
            self.safe(err)
            _, err = self.ask("channel", "show", "north", "--json", status=status)
            self.assertEqual(json.loads(err)["error"]["code"], code)
            self.assertEqual(json.loads(err)["error"]["rule"], "design 2")

    def test_answers_that_are_no_json_are_told(self):
        self.route("GET", "/status", b"not json")
        self.assertIn("the node's answer", self.ask("status", status=1)[1])
        self.route("GET", "/status", [1])
        self.assertIn("no JSON object", self.ask("status", status=1)[1])

    def test_answers_without_members_do_no_harm(self):
        self.route("GET", "/status", {})
        self.route("GET", "/peers", {})
        self.route("GET", "/channels", {"channels": [{}, 1, None]})
        self.route("GET", "/messages", {"messages": [{}, [], "x"]})
        self.route("GET", "/messages/" + MSG, {})
        self.route("GET", "/bodies/" + MSG, {})
        for arguments in (["status"], ["peer", "list"], ["channel", "list"], ["list"], ["show", MSG], ["open", MSG]):
            self.ask(*arguments)

    def test_channels(self):
        self.route("POST", "/channels", CHANNEL)
        (self.folder / "terms.json").write_text('{"a":1}')
        (self.folder / "policy").write_text("# comment\n\nwitness W x\nquorum W\n")
        out, err = self.ask("channel", "open", "--with", "boreal.example", "corvus.example", "--terms", "terms.json",
                            "--policy", "policy", "--alias", "north")
        self.assertEqual(out, CHANNEL_ID + "\n")
        self.assertIn("entente channel accept 5d1f09ab5d1f", err)
        self.assertIn("beware: the terms are no agreement", err)
        for parties, word in (("aurora.example,boreal.example", None), ("aurora.example,corvus.example", "name other parties")):
            self.run_cli("agreement", "new", "-o", "agreed.json", "--parties", parties)
            _, err = self.ask("channel", "open", "--with", "boreal.example", "--terms", "agreed.json")
            self.assertEqual("beware" in err, word is not None, err)
            self.assertIn(word or "", err)
            self.route("GET", "/channels/north", dict(CHANNEL, terms=json.loads((self.folder / "agreed.json").read_text())))
            self.assertEqual("Beware" in self.ask("channel", "show", "north")[0], word is not None)
        self.ask("channel", "open", "--with", "boreal.example", "corvus.example", "--terms", "terms.json",
                 "--policy", "policy", "--alias", "north", "--quota-entries", "7", "--quota-bytes", "20M", "--quota-attachments", "1G")
        sent = json.loads(self.asked()[3])
        self.assertEqual(sent, {"with": ["boreal.example", "corvus.example"], "terms": base64.b64encode(b'{"a":1}').decode(),
                                "policy": ["witness W x", "quorum W"], "alias": "north",
                                "quotas": {"entries_a_day": 7, "bytes_a_day": 20_000_000, "attachment_bytes": 10**9}})
        self.ask("channel", "open", "--with", "boreal.example", "--terms", "terms.json")
        sent = json.loads(self.asked()[3])
        self.assertEqual((sent["policy"], sent["alias"]), (None, None))
        self.assertEqual(self.ask("channel", "open", "--with", "b.c", "--terms", "-", "--json", stdin=b"t")[1], "")
        self.route("GET", "/channels", {"channels": [CHANNEL]})
        out, _ = self.ask("channel", "list")
        self.assertRegex(out, r"north +5d1f09ab5d1f +open +boreal.example")
        self.route("GET", "/channels/north", CHANNEL)
        out, _ = self.ask("channel", "show", "north")
        self.safe(out)
        self.assertIn("FROZEN", out)
        self.assertIn("Beware: the terms are no agreement that this version can read", out)
        self.assertIn("has receipted 3 of our 4", out)
        self.route("POST", "/channels/north/accept", CHANNEL)
        self.ask("channel", "accept", "north", "--alias", "n")
        self.assertEqual(json.loads(self.asked()[3]), {"alias": "n"})
        self.route("POST", "/channels/north/refuse", dict(CHANNEL, state="refused"))
        self.assertIn("refused", self.ask("channel", "refuse", "north")[0])

    def test_list_and_show(self):
        self.route("GET", "/messages", {"messages": [MESSAGE]})
        out, _ = self.ask("list", "--channel", "north", "--thread", MSG, "--unanswered", "--since", "2021-05-30", "--limit", "7")
        self.safe(out)
        for words in ("FLASH", "[EXERCISE]", MSG, "not receipted", "AMBER", "(+1)", "日本語の題名"):
            self.assertIn(words, out)
        self.assertEqual(self.asked()[2], {"channel": "north", "thread": MSG, "unanswered": "1", "since": "2021-05-30T00:00:00Z", "limit": "7"})
        self.assertEqual(json.loads(self.ask("list", "--json")[0])["messages"], [MESSAGE])
        self.assertNotIn("newest", self.ask("list")[1])
        self.assertIn("only the newest 1 are shown", self.ask("list", "--limit", "1")[1])
        self.route("GET", "/messages", {"messages": []})
        self.assertIn("no such messages", self.ask("list")[0])
        self.route("GET", "/messages/" + MSG, DETAIL)
        out, _ = self.ask("show", MSG)
        self.safe(out)
        for words in ("FLASH", "EXERCISE", "signed at 2021-05-30 09:13:20 UTC", "DATED AHEAD", "CONTESTED", "held here",
                      "acknowledged as held by boreal.example", "north/boreal.example/2", "1.2 MB", "had receipted the first 2 entries"):
            self.assertIn(words, out)

    def test_recalled(self):
        recalled = {"by": "north/aurora.example/7", "time": "2021-06-02T08:00:00Z", "action": "destroy" + EVIL}
        banner = "RECALLED by north/aurora.example/7 at 2021-06-02 08:00:00 UTC: destroy"
        self.route("GET", "/messages", {"messages": [MESSAGE, dict(DETAIL, recalled=recalled)]})
        self.assertEqual([line.count(" RECALLED ") for line in self.ask("list")[0].splitlines()], [0, 0, 1])
        self.route("GET", "/messages/" + MSG, dict(DETAIL, recalled=recalled))
        out, _ = self.ask("show", MSG)
        self.safe(out)
        self.assertIn(banner, out)
        self.route("GET", "/bodies/" + MSG, b'{"fields":{}}')
        self.route("GET", "/attachments/" + MSG + "/0", b"image")
        self.assertEqual(self.ask("open", MSG), (self.ask("open", MSG)[0], ""))
        self.assertTrue(self.ask("open", MSG)[0].startswith(banner))
        self.assertIn("The body is empty.", self.ask("open", MSG)[0])
        for arguments in (["--json"], ["-o", "body"], ["--attachment", "0", "-o", "image"]):
            err = self.ask("open", MSG, *arguments)[1]
            self.assertIn(banner, err)
            self.safe(err)
        self.route("GET", "/messages/" + MSG, dict(DETAIL, recalled=dict(recalled, action=None)))
        self.assertIn("UTC: what is asked cannot be read", self.ask("show", MSG)[0])
        self.route("GET", "/messages/" + MSG, DETAIL)
        self.assertNotIn("RECALLED", self.ask("show", MSG)[0])
        self.assertEqual(self.ask("open", MSG)[1], "")

    def test_open(self):
        raw = json.dumps(BODY, ensure_ascii=False, indent=1).encode()
        self.route("GET", "/bodies/" + MSG, raw)
        self.route("GET", "/messages/" + MSG, dict(MESSAGE, kind="incident.notification"))
        out, _ = self.ask("open", MSG)
        self.assertIn("Unknown to this version: affected, empty, evil, lines. Shown as said", out)
        self.route("GET", "/messages/" + MSG, dict(MESSAGE, kind="future.kind"))
        self.assertIn("Unknown to this version: the kind future.kind. Its fields", self.ask("open", MSG)[0])
        self.route("GET", "/messages/" + MSG, dict(MESSAGE, kind="incident.notification"))
        self.route("GET", "/bodies/" + MSG, {"fields": {"systems": [{"of " + EVIL: 1}], **{f"f{i}": {} for i in range(20)}}})
        self.safe(self.ask("open", MSG)[0])
        self.assertIn("f14 and 5 more. Shown", self.ask("open", MSG)[0])
        self.route("GET", "/bodies/" + MSG, {"fields": {"title": "Known"}})
        self.assertNotIn("Unknown", self.ask("open", MSG)[0])
        self.route("GET", "/bodies/" + MSG, raw)
        self.safe(out)
        for words in ("title: Ransomware", "- country: AU" if False else "country: AU", "authentic: this one rules", "malware: REvil",
                      "indicator: [x]", "0  image.dd: disk", "Unknown to this version: later", "\n  Second "):
            self.assertIn(words, out)
        self.ask("open", MSG, "-o", "body.json")
        self.assertEqual((self.folder / "body.json").read_bytes(), raw)
        self.assertEqual(stat.S_IMODE((self.folder / "body.json").stat().st_mode), 0o600)
        self.assertEqual(self.ask("open", MSG, "-o", "-", text=False)[0], raw)
        self.assertEqual(json.loads(self.ask("open", MSG, "--json")[0]), BODY)
        content = bytes(range(256)) * 5000
        self.route("GET", "/attachments/" + MSG + "/0", content)
        self.ask("open", MSG, "--attachment", "0", "-o", "image.dd")
        self.assertEqual((self.folder / "image.dd").read_bytes(), content)
        self.assertEqual(stat.S_IMODE((self.folder / "image.dd").stat().st_mode), 0o600)
        self.ask("open", MSG, "--attachment", "1", "-o", "other", status=1)
        self.ask("open", MSG, "-o", ".", status=2)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["body.json", "d", "image.dd"])

    def test_send(self):
        answer = {"message": MSG, "index": 3, "waited": None, "done": False, "answer": None}
        self.route("POST", "/messages", answer)
        self.route("POST", "/attachments", lambda query, body: (200, {"digest": "ab" * 32, "size": len(body), "type": query["type"]}))
        (self.folder / "image.dd").write_bytes(b"x" * 300000)
        (self.folder / "notes.txt").write_text("notes")
        (self.folder / "empty").write_text("")
        out, err = self.ask("send", "feed.unknown", "--channel", "north", "--body", "-", "--attach", "image.dd", "--attach",
                            "notes.txt", "--attach", "empty", "--to", "boreal.example", "--marking", "amber+strict", "--urgency", "flash",
                            "--exercise", "--reply-to", "boreal.example/2", "--lang", "fr", stdin="Voilà.".encode())
        self.assertEqual((out, err), (MSG + "\n", ""))
        sent = json.loads(self.asked()[3])
        self.assertEqual(sent["body"], {"fields": {}, "text": {"fr": "Voilà."}, "authentic": "fr",
                                        "files": [{"name": "image.dd"}, {"name": "notes.txt"}, {"name": "empty"}]})
        self.assertEqual([(a["size"], a["type"]) for a in sent["attachments"]],
                         [(300000, "application/octet-stream"), (5, "text/plain"), (0, "application/octet-stream")])
        del sent["body"], sent["attachments"]
        self.assertEqual(sent, {"channel": "north", "kind": "feed.unknown", "to": ["boreal.example"], "reply_to":
                                "north/boreal.example/2", "marking": "TLP:AMBER+STRICT", "urgency": "flash", "exercise": True})
        self.assertEqual(self.server.requests[0][2], b"x" * 300000)
        self.assertIn("channel=north", self.server.requests[0][1])

    def test_send__plain_defaults(self):
        self.route("POST", "/messages", {"message": MSG, "index": 3, "waited": None, "done": False, "answer": None})
        self.ask("send", "answer.acknowledgement", "--reply-to", MSG)
        sent = json.loads(self.asked()[3])
        self.assertEqual(sent, {"channel": "north", "kind": "answer.acknowledgement", "to": [], "body": {"fields": {}}, "attachments": [],
                                "reply_to": MSG, "marking": None, "urgency": None, "exercise": False})
        self.assertEqual(self.asked()[2], {})
        self.assertEqual(self.ask("send", "a.b", "--channel", "c", "--body", "-", stdin=b'{"fields":', status=1)[0], "")
        self.ask("send", "a.b", "--channel", "c", "--body", "absent", status=1)
        self.ask("send", "a.b", "--channel", "c", "--attach", ".", status=2)
        self.ask("send", "a.b", "--channel", "c", "--attach", "absent", status=1)

    def test_send__waits(self):
        answer = {"message": MSG, "index": 3, "waited": "receipt", "done": True, "answer": None}
        self.route("POST", "/messages", lambda query, body: (200, dict(answer, waited=query["wait"])))
        self.assertEqual(self.ask("send", "a.b", "--channel", "c", "--wait", "receipt")[0], MSG + "\n")
        self.assertEqual(self.asked()[2], {"wait": "receipt", "timeout": "30"})
        answer.update(answer="north/boreal.example/4")
        _, err = self.ask("send", "a.b", "--channel", "c", "--wait", "answer", "--timeout", "2")
        self.assertIn("entente open north/boreal.example/4", err)
        self.assertEqual(self.asked()[2], {"wait": "answer", "timeout": "2"})
        answer.update(answer=None, done=False)
        out, err = self.ask("send", "a.b", "--channel", "c", "--wait", "receipt", "--timeout", "1", status=5)
        self.assertEqual(out, MSG + "\n")
        self.assertIn("was not receipted by every member within 1 s", err)
        out, err = self.ask("send", "a.b", "--channel", "c", "--wait", "answer", "--timeout", "1", "--json", status=5)
        self.assertFalse(json.loads(out)["done"])
        self.assertEqual(json.loads(err)["error"]["code"], "waiting")

    def test_prove(self):
        proof = {"receipts": ["boreal.example"], "proof": "PROOF", "policy": "POLICY"}
        self.route("GET", "/proofs/" + MSG, {"proofs": [proof], "entry": "ENTRY"})
        out, _ = self.ask("prove", MSG, "-o", "attack")
        self.assertIn("Receipted by boreal.example.", out)
        for extension, content in (("entry", "ENTRY"), ("tlog-proof", "PROOF"), ("policy", "POLICY")):
            self.assertEqual((self.folder / f"attack.{extension}").read_text(), content)
        other = dict(proof, receipts=["corvus.example"], proof="PROOF2")
        self.route("GET", "/proofs/" + MSG, {"proofs": [proof, other], "entry": "ENTRY"})
        out, _ = self.ask("prove", MSG, "-o", "two", "--json")
        self.assertEqual(sorted(json.loads(out)["files"]), ["two.boreal.example.policy", "two.boreal.example.tlog-proof",
                                                            "two.corvus.example.policy", "two.corvus.example.tlog-proof", "two.entry"])
        self.assertEqual((self.folder / "two.corvus.example.tlog-proof").read_text(), "PROOF2")
        evil = dict(proof, receipts=["../../evil"])
        self.route("GET", "/proofs/" + MSG, {"proofs": [evil, other], "entry": "ENTRY"})
        self.assertIn("party's name", self.ask("prove", MSG, "-o", "x", status=2)[1])
        self.route("GET", "/proofs/" + MSG, {"proofs": [], "entry": "ENTRY"})
        self.ask("prove", MSG, "-o", "x", status=5)

    def test_pouches(self):
        self.route("GET", "/pouches", POUCH)
        self.route("GET", "/blobs", {"attachments": []})
        self.route("GET", "/channels/north", {"members": []})
        self.route("GET", "/channels/" + CHANNEL_ID, {"members": []})
        out, _ = self.ask("pouch", "export", "--channel", "north", "--to", "boreal.example", "-o", "p.pouch")
        self.assertIn("entente pouch import p.pouch", out)
        self.assertEqual((self.folder / "p.pouch").read_bytes(), POUCH)
        self.assertFalse((self.folder / "p.pouch.d").exists())
        self.assertEqual(self.asked(), ("GET", "/blobs", {"channel": "north", "to": "boreal.example"}, b""))
        out, _ = self.ask("pouch", "export", "--channel", "north", "--to", "boreal.example", "-o", "-", text=False)
        self.assertEqual(out, POUCH)
        imported = {"state": "receipted", "channel": CHANNEL_ID, "from": "boreal.example", "size": 4, "new": 2}
        self.route("POST", "/pouches", imported)
        out, _ = self.ask("pouch", "import", "p.pouch", "--reply", "reply.pouch")
        self.assertIn("2 new entries", out)
        self.assertEqual(self.asked(), ("GET", "/blobs", {"channel": CHANNEL_ID, "to": "boreal.example"}, b""))
        self.assertEqual((self.folder / "reply.pouch").read_bytes(), POUCH)
        self.assertEqual(json.loads(self.ask("pouch", "import", "p.pouch", "--json")[0]), dict(imported, attachments=[], others=[]))
        self.route("POST", "/pouches", dict(imported, state="invited"))
        self.assertIn("invites us", self.ask("pouch", "import", "p.pouch")[0])
        self.route("POST", "/pouches", {"error": {"code": "bad-signature", "rule": "design 3, step 3", "text": "no"}}, 422)
        self.assertIn("design 3, step 3", self.ask("pouch", "import", "p.pouch", status=1)[1])

    def test_pouches__logs_that_the_receiver_lacks_lie_beside(self):
        def members(*rows):
            us = {"name": "aurora.example", "self": True, "size": 5, "receipted_by": [{"by": "boreal.example", "size": 5}]}
            return {"members": [us, {"name": "boreal.example", "size": 4, "receipted_by": []}, *rows]}

        def row(name, size, receipted):
            return {"name": name, "size": size, "receipted_by": [{"by": "boreal.example", "size": receipted}]}

        export = ("pouch", "export", "--channel", "north", "--to", "boreal.example", "-o", "o.pouch")
        self.route("GET", "/pouches", POUCH)
        self.route("GET", "/blobs", {"attachments": []})
        for evil in ("../evil", "a/b", "", EVIL):
            self.route("GET", "/channels/north", members(row(evil, 3, 0)))
            self.assertIn("party's name", self.ask(*export, status=2)[1])
        self.assertFalse((self.folder / "o.pouch.d").exists())
        self.route("GET", "/channels/north", members(row("corvus.example", 3, 3), row("dorado.example", 3, 2)))
        told = json.loads(self.ask(*export, "--json")[0])
        self.assertEqual([other["of"] for other in told["others"]], ["dorado.example"])
        self.assertEqual([path.name for path in (self.folder / "o.pouch.d").iterdir()], ["dorado.example.pouch"])
        self.route("POST", "/pouches", {"error": {"code": "bad-signature", "rule": "design 3, step 3", "text": EVIL}}, 422)
        self.safe(self.ask("pouch", "import", "o.pouch", status=1)[1])

    def test_pouches__what_the_node_names_or_answers_never_leaves_the_folder(self):
        digest = "ab" * 32
        export = ("pouch", "export", "--channel", "north", "--to", "boreal.example", "-o", "q.pouch")
        self.route("GET", "/pouches", POUCH)
        self.route("GET", "/channels/north", {"members": []})
        for name in ("../" + digest[3:], digest[:-1], digest.upper(), ""):
            self.route("GET", "/blobs", {"attachments": [{"digest": name, "size": 5, "index": 3}]})
            self.assertIn("by no digest", self.ask(*export, status=1)[1])
        self.route("GET", "/blobs", {"attachments": [{"digest": digest, "size": 5, "index": 3}]})
        self.route("GET", "/blobs/" + digest, b"1234")
        self.assertIn("4 bytes of 5", self.ask(*export, status=4)[1])
        self.assertEqual(list((self.folder / "q.pouch.d").iterdir()), [])
        self.route("GET", "/blobs/" + digest, b"12345")
        row = json.loads(self.ask(*export, "--json")[0])["attachments"][0]
        self.assertEqual((row["file"], row["state"], row["bytes"]), (f"q.pouch.d/{digest}", "written", 5))
        self.route("POST", "/pouches", {"state": "receipted", "channel": CHANNEL_ID, "from": "boreal.example", "size": 4, "new": 2})
        reason = {"error": {"code": "mismatch", "rule": "docs/formats.md", "text": "another digest " + EVIL}}
        self.route("PUT", "/blobs/" + digest, reason, 422)
        out, err = self.ask("pouch", "import", "q.pouch", status=1)
        self.safe(out)
        self.assertIn("is not taken", out)
        self.assertIn("1 attachment beside the pouch", err)
        self.route("PUT", "/blobs/" + digest, {"new": True, "said": True})
        self.assertIn("1 attachment, 5 bytes, taken in", self.ask("pouch", "import", "q.pouch")[0])

    def test_on_a_terminal_fits_and_colours(self):
        self.route("GET", "/messages", {"messages": [MESSAGE, dict(MESSAGE, urgency="routine", subject="short")]})
        out = self.on_terminal(70, "list", env={})
        self.assertIn("\033[1;31m", out)
        for line in out.splitlines():
            self.assertLessEqual(len(re.sub(r"\033\[[0-9;]*m", "", line)), 70)
        plain = " ".join(re.sub(r"\033\[[0-9;]*m", "", out).split())
        for words in (MSG, "FLASH", MESSAGE["title"] if MESSAGE.get("title") else MESSAGE["kind"], "TLP:AMBER", "short"):
            self.assertIn(words, plain)
        self.assertNotIn("…", out)
        piped = lambda columns: subprocess.run([ENTENTE, "list", "--dir", "d"], cwd=self.folder, capture_output=True, text=True,
                                               env=dict(os.environ, COLUMNS=columns)).stdout
        self.assertEqual(" ".join(piped("70").split()), plain)
        for nonsense in ("", "0", "-5", "wide", "99999999999999999999"):
            self.assertEqual(piped(nonsense).count("\n"), 3, nonsense)
        self.assertNotIn("\033", self.on_terminal(70, "list"))
        self.assertNotIn("\u202e", out)


class Watching(WithNode):
    handler = StreamHandler
    events = [b"\n",
              {"event": "message", "channel": CHANNEL_ID, "alias": "north", "message": MSG, "kind": "incident.notification",
               "party": "aurora.example", "subject": "Ransomware " + EVIL, "urgency": "flash"},
              {"event": "receipt", "channel": CHANNEL_ID, "alias": None, "by": "boreal.example", "size": 4},
              {"event": "channel", "channel": CHANNEL_ID, "alias": "north", "state": "open"},
              {"event": "attachment", "channel": CHANNEL_ID, "alias": "north", "message": MSG, "digest": "ab"},
              {"event": "fork", "channel": CHANNEL_ID, "alias": "north", "party": "boreal.example"},
              {"event": "later", "channel": CHANNEL_ID}]

    def test_watch__lines_then_node_gone(self):
        self.server.events = self.events + [None]
        out, err = self.ask("watch", status=3)
        self.safe(out)
        for words in ("FLASH incident.notification from aurora.example: Ransomware", "boreal.example has receipted the first 4 entries",
                      "the channel is now open", "has arrived whole", "FORK: boreal.example", "unknown to this version: later", "5d1f09ab5d1f: "):
            self.assertIn(words, out)
        self.assertIn("gone away", err)
        self.assertEqual(len(out.splitlines()), 6)

    def test_watch__json_lines(self):
        self.server.events = self.events + [None]
        out, _ = self.ask("watch", "--json", status=3)
        self.assertEqual([json.loads(line) for line in out.splitlines()], self.events[1:])

    def test_watch__interrupt_ends_it(self):
        self.server.events = self.events
        with subprocess.Popen([ENTENTE, "watch", "--dir", "d"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder) as running:
            for _ in range(6):
                self.assertTrue(running.stdout.readline())
            running.send_signal(signal.SIGINT)
            self.assertEqual(running.wait(timeout=10), 0)
            self.assertEqual(running.stderr.read(), b"")


class Verify(Case):
    def setUp(self):
        super().setUp()
        subprocess.run([EVIDENCE, self.folder], check=True)

    def not_valid(self, *arguments, word="", status=1):
        out, err = self.run_cli("verify", *arguments, status=status)
        self.assertIn("NOT VALID", out)
        self.assertNotIn(": VALID", out)
        self.assertIn(word, err)
        return err

    def test_verify__proof_without_cards_says_so(self):
        out, _ = self.run_cli("verify", "attack.tlog-proof")
        for words in ("attack.tlog-proof: VALID", "aurora.example said incident.notification", "boreal.example receipted it",
                      "No card was compared", "log key of aurora.example", "receipt key of boreal.example"):
            self.assertIn(words, out)

    def test_verify__proof_with_cards(self):
        out, _ = self.run_cli("verify", "attack.tlog-proof", "--card", "aurora.card", "--card", "boreal.card")
        self.assertEqual(out.count("as on its card"), 2)
        self.assertNotIn("No card", out)
        self.assertNotIn("Not every key", out)
        out, _ = self.run_cli("verify", "attack.tlog-proof", "--card", "aurora.card")
        self.assertIn("Not every key", out)

    def test_verify__parts_named_or_moved(self):
        self.run_cli("verify", "attack.policy", "attack.entry", "attack.tlog-proof")
        other = self.folder / "other"
        other.mkdir()
        for name in ("entry", "policy"):
            (self.folder / f"attack.{name}").rename(other / f"moved.{name}")
        self.run_cli("verify", "attack.tlog-proof", "other/moved.entry", "other/moved.policy")
        self.run_cli("verify", "attack.tlog-proof", "other/moved.entry", "--policy", "other/moved.policy")
        self.not_valid("attack.tlog-proof", word=".entry")
        self.not_valid("attack.tlog-proof", "other/moved.entry", word=".policy")
        self.not_valid("other/moved.entry", status=2, word="alone")
        shutil.copy(other / "moved.entry", self.folder / "many.entry")
        for name in ("tlog-proof", "policy"):
            source = self.folder / "attack.tlog-proof" if name == "tlog-proof" else other / "moved.policy"
            shutil.copy(source, self.folder / f"many.boreal.example.{name}")
        self.run_cli("verify", "many.boreal.example.tlog-proof")

    def test_verify__every_flipped_byte_refused(self):
        for name, step in (("attack.entry", 7), ("attack.tlog-proof", 5)):
            path = self.folder / name
            good = path.read_bytes()
            for at in range(0, len(good), step):
                path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
                done = subprocess.run([ENTENTE, "verify", "attack.tlog-proof", "--card", "aurora.card", "--card", "boreal.card"],
                                      cwd=self.folder, capture_output=True, check=False)
                self.assertEqual(done.returncode, 1, f"{name} byte {at}: {done.stdout!r} {done.stderr!r}")
            path.write_bytes(good)
        self.run_cli("verify", "attack.tlog-proof")

    def test_verify__reasons_are_precise(self):
        proof = (self.folder / "attack.tlog-proof").read_text()
        entry = (self.folder / "attack.entry").read_text()
        (self.folder / "attack.entry").write_text(entry + "\n")
        self.not_valid("attack.tlog-proof", word="the entry or the proof was altered")
        (self.folder / "attack.entry").write_text(entry.replace("flash", "routi"))
        self.not_valid("attack.tlog-proof", word="the entry or the proof was altered")
        (self.folder / "attack.entry").write_text(entry)
        lines = proof.splitlines(keepends=True)
        (self.folder / "attack.tlog-proof").write_text("".join(lines[:-1]))
        self.not_valid("attack.tlog-proof", word="not enough")
        (self.folder / "attack.tlog-proof").write_text(proof[:40])
        self.not_valid("attack.tlog-proof")
        (self.folder / "attack.tlog-proof").write_text(proof)
        policy = (self.folder / "attack.policy").read_text()
        (self.folder / "attack.policy").write_text("\n".join(policy.splitlines()[1:]) + "\n")
        self.not_valid("attack.tlog-proof", word="policy")
        (self.folder / "attack.policy").write_text("frob\n")
        self.not_valid("attack.tlog-proof", word="the policy")

    def test_verify__forged_keys_refused_by_the_card(self):
        # Another party's card under the writer's name cannot be made here; a card with other keys can: that of a new party.
        self.run_cli("init", "--name", "aurora.example", "--dir", "forged")
        err = self.not_valid("attack.tlog-proof", "--card", "forged/card", word="is not the one on its card")
        self.assertIn("fingerprint", err)
        self.not_valid("aurora.card", "--card", "forged/card", word="does not follow")

    def test_verify__cards(self):
        out, _ = self.run_cli("verify", "aurora.card")
        self.assertIn("no card was compared", out)
        self.assertIn("root key is, or follows", self.run_cli("verify", "aurora.card", "--card", "aurora.card")[0])
        path = self.folder / "aurora.card"
        good = path.read_bytes()
        for at in range(0, len(good), 23):
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
            self.not_valid("aurora.card")
            self.refused("verify", "attack.tlog-proof", "--card", "aurora.card", status=1, word="the card aurora.card")

    def test_verify__pouches(self):
        out, _ = self.run_cli("verify", "first.pouch")
        for words in ("first.pouch: VALID", "The entries give the root", "signed by its writer", "Keys came from the genesis"):
            self.assertIn(words, out)
        out, _ = self.run_cli("verify", "later.pouch")
        self.assertIn("WELL-FORMED, signature not checked", out)
        self.assertNotIn(": VALID", out)
        out, _ = self.run_cli("verify", "later.pouch", "--card", "aurora.card", "--card", "boreal.card")
        self.assertIn("later.pouch: VALID", out)
        self.assertNotIn("NOT checked", out)
        self.run_cli("init", "--name", "aurora.example", "--dir", "forged")
        self.not_valid("later.pouch", "--card", "forged/card", word="checkpoint")
        self.run_cli("init", "--name", "boreal.example", "--dir", "forged2")
        self.not_valid("later.pouch", "--card", "forged2/card", word="receipt 0")

    def test_verify__mutated_pouches_refused(self):
        path = self.folder / "first.pouch"
        good = path.read_bytes()
        for at in range(0, len(good), 211):
            path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1:])
            done = subprocess.run([ENTENTE, "verify", "first.pouch", "--card", "aurora.card", "--card", "boreal.card"], cwd=self.folder,
                                  capture_output=True, check=False)
            self.assertEqual(done.returncode, 1, f"byte {at}: {done.stdout!r}")
        path.write_bytes(good[:-512])
        self.not_valid("first.pouch")

    def test_verify__several_files_and_json(self):
        (self.folder / "attack.entry").write_text("x")
        out, err = self.run_cli("verify", "attack.tlog-proof", "aurora.card", "--json", status=1)
        results = {row["file"]: row for row in json.loads(out)["results"]}
        self.assertFalse(results["attack.tlog-proof"]["valid"])
        self.assertIn("altered", results["attack.tlog-proof"]["reason"])
        self.assertTrue(results["aurora.card"]["valid"])
        self.assertEqual(json.loads(err)["error"]["code"], "mismatch")

    def test_verify__other_files_refused(self):
        (self.folder / "x.txt").write_text("hello")
        self.refused("verify", "x.txt", status=1, word="nothing that can be verified")
        self.refused("verify", "absent", status=1, word="absent")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
