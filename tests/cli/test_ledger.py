#!/usr/bin/env python3
"""The ledger, threads and reports, from outside: against a stand-in for the node, and reports verified with none.

usage: test_ledger.py ENTENTE EVIDENCE [TEST]..."""

import copy
import hashlib
import json
import re
import stat
import subprocess
import sys
import unittest

from test_usage import CHANNEL, CHANNEL_ID, DETAIL, ENTENTE, EVIDENCE, EVIL, MSG, Case, Terminal, WithNode

ID = CHANNEL_ID
OBLIGATION = {"type": "answer", "debtor": "aurora.example", "creditor": "boreal.example", "mine": True,
              "message": f"{ID}/boreal.example/3", "kind": "request.information", "subject": "Logs " + EVIL + " مرحبا", "thread":
              f"{ID}/boreal.example/3", "urgency": "flash", "exercise": True, "state": "overdue", "due": "2021-05-30T07:02:00Z",
              "left_s": None, "started": {"event": "receipt", "by": "aurora.example", "size": 4, "time": "2021-05-29T07:02:00Z"},
              "answered_by": None}


def obligation(**change):
    return dict(OBLIGATION, **change)


LEDGER = {
    "channel": ID, "alias": "north", "at": "2021-05-30T09:12:00Z", "evidence_until": "2021-05-30T09:11:58Z",
    "evidence_digest": "e1" * 32, "state_digest": "57" * 32, "rules": 1, "members": ["aurora.example", "boreal.example"],
    "agreement": {"commitment": "ab" * 32, "title": "Arrangement " + EVIL, "from": "2021-01-01T00:00:00Z", "until": "2021-06-10T00:00:00Z",
                  "effective_until": "2022-06-10T00:00:00Z", "state": "in-force", "problem": None,
                  "amendments": [{"message": f"{ID}/boreal.example/9", "replaces": "cd" * 32, "state": "proposed"}]},
    "suspended": [],
    "obligations": [
        OBLIGATION,
        obligation(debtor="boreal.example", creditor="aurora.example", mine=False, state="open", due="2021-05-30T12:12:00Z", urgency="routine",
                   exercise=False, type="acknowledge"),
        obligation(state="sent, not receipted", due=None, started=None, mine=False, debtor="boreal.example"),
        obligation(state="frozen", due=None, left_s=10800, type="final"),
        obligation(state="answered, not receipted", answered_by=f"{ID}/aurora.example/8"),
        obligation(state="stopped", due=None, left_s=60, type="follow-up")],
    "duties": {"open": 7, "mine": 4, "overdue": 2, "in_time": 75, "late": 4}, "done": {"in_time": 75, "late": 4},
    "balances": [{"class": "information", "from": "aurora.example", "to": "boreal.example", "asked": 80, "acknowledged": 70, "answered": 60,
                  "answered_in_time": 55, "granted": 50, "refused": 6, "overdue": 20, "given": 3, "received": 50, "balance": -47,
                  "may_hold_back": False, "why": "", "messages": []},
                 {"class": "information", "from": "boreal.example", "to": "aurora.example", "asked": 3, "acknowledged": 3, "answered": 3,
                  "answered_in_time": 3, "granted": 3, "refused": 0, "overdue": 0, "given": 50, "received": 3, "balance": 47,
                  "may_hold_back": True, "why": "it has given 47 more than it received; the agreement names 5", "messages": []},
                 {"class": "empty-class", "from": "boreal.example", "to": "aurora.example", "asked": 0}],
    "threat_level": {"name": "elevated", "sum": 12, "window_s": 2592000,
                     "incidents": [{"message": MSG, "severity": "high", "weight": 8, "time": "2021-05-30T09:12:00Z"}]},
    "answer_times": [{"by": "boreal.example", "count": 14, "median_s": 7800}, {"by": "aurora.example", "count": 0, "median_s": 0}],
    "checks": [{"by": "boreal.example", "asked": 15, "answered": 14, "missed": 1, "median_s": 12, "last": "2021-05-30T08:00:00Z"}],
    "claims": [{"message": MSG, "state": "claimed", "supported": False, "evidence": []},
               {"message": MSG, "state": "denied", "supported": True, "evidence": [f"{ID}/aurora.example/11"]}],
    "bindings": [{"thread": MSG, "accepted": f"{ID}/aurora.example/12", "digest": "dd" * 32}],
    "pledges": [{"message": MSG, "state": "pledged", "note": "without a neutral: the later side chooses"}],
    "refused": [{"message": f"{ID}/boreal.example/7", "reason": "second-answer: " + EVIL}], "contested": [f"{ID}/boreal.example/6"],
    "unknown": [f"{ID}/boreal.example/5"], "exercises": {"threads": 2, "obligations": 1}}


class Ledger(WithNode, Terminal):
    def setUp(self):
        super().setUp()
        self.route("GET", "/ledger", LEDGER)

    def test_ledger__for_an_officer_at_night(self):
        out, err = self.ask("ledger", "--channel", "north")
        self.assertEqual(err, "")
        self.safe(out)
        self.assertIn("مرحبا", out)
        self.assertEqual(self.asked(), ("GET", "/ledger", {"channel": "north", "limit": "500"}, b""))
        for words in ("north, of aurora.example and boreal.example: open", "in force until 2022-06-10 00:00:00 UTC", ", extended",
                      "elevated (sum 12 of the incidents of 30 d)", "As of", "evidence until 2021-05-30 09:11:58 UTC",
                      "2 overdue, 7 not done (4 of them ours); done in time 75, late 4",
                      "boreal.example may hold back towards aurora.example in information: it has given 47 more", "-47",
                      "boreal.example answers in 2 h 10 min (median of 14)", "boreal.example answered 14 of 15, in 12 s (median), missed 1",
                      "unsupported: no evidence refers to it", "supported by north/aurora.example/11", "without a neutral: the later side chooses",
                      "north/boreal.example/7: second-answer", "1 contested: north/boreal.example/6", "1 of kinds unknown to this version",
                      "threads of exercises are counted apart: 2, with 1 open duties", "evidence " + "e1" * 32, "state    " + "57" * 32, "digest " + "dd" * 32,
                      "north/boreal.example/9, proposed"):
            self.assertIn(words, out)
        self.assertNotIn("empty-class", out)
        self.assertNotIn("aurora.example answers in", out)
        rows = [line for line in out.splitlines() if "north/boreal.example/3" in line]
        self.assertEqual(len(rows), 6)
        for row, words in zip(rows, (["2021-05-30 07:02:00 (2 h 10 min ago)", " you ", "[EXERCISE] FLASH answer request.information: Logs",
                                      "receipt by aurora.example 2021-05-29 07:02:00", " overdue"],
                                     ["(in 3 h)", "boreal.example", "acknowledge request.information", " open"],
                                     ["-  ", "not started: no receipt", "sent, not receipted"],
                                     ["3 h left", "final report after", "frozen"],
                                     ["answered by north/aurora.example/8", "answered, not receipted"],
                                     ["1 min left", "follow up on", "stopped"])):
            for word in words:
                self.assertIn(word, row)

    def test_ledger__json_is_the_nodes(self):
        out, _ = self.ask("ledger", "--channel", "north", "--json")
        self.assertEqual(json.loads(out), LEDGER)
        self.assertEqual(self.asked()[2], {"channel": "north", "limit": "100000"})
        self.safe(out)

    def test_ledger__states_of_the_agreement_and_suspension(self):
        ledger = copy.deepcopy(LEDGER)
        self.route("GET", "/ledger", lambda query, body: (200, ledger))
        for change, words in (({"state": "expired"}, "EXPIRED"), ({"state": "not-yet"}, "NOT YET IN FORCE: begins 2021-01-01"),
                              ({"state": "unreadable", "problem": "title: missing"}, "terms: not readable as an agreement: title: missing")):
            ledger["agreement"] = dict(LEDGER["agreement"], **change)
            self.assertIn(words, self.ask("ledger", "--channel", "north")[0])
        ledger.update(suspended=[{"by": "boreal.example", "since": "2021-05-30T01:00:00Z", "message": f"{ID}/boreal.example/8"}], obligations=[])
        out, _ = self.ask("ledger", "--channel", "north")
        self.assertIn("SUSPENDED by boreal.example since 2021-05-30 01:00:00 UTC: north/boreal.example/8", out)
        self.assertNotIn(": open", out)
        self.assertIn("Nobody owes anything.", out)

    def test_ledger__at(self):
        self.ask("ledger", "--channel", "north", "--at", "2021-05-30")
        self.assertEqual(self.asked()[2], {"channel": "north", "at": "2021-05-30T00:00:00Z", "limit": "500"})
        self.ask("ledger", "--channel", "north", "--at", "2021-05-30T01:02:03Z", "--digest")
        self.assertEqual(self.asked()[2], {"channel": "north", "at": "2021-05-30T01:02:03Z", "limit": "500"})

    def test_ledger__digest_is_two_lines(self):
        self.assertEqual(self.ask("ledger", "--channel", "north", "--digest")[0], f"evidence {'e1' * 32}\nstate {'57' * 32}\n")
        self.assertEqual(json.loads(self.ask("ledger", "--channel", "north", "--digest", "--json")[0]), {"evidence": "e1" * 32, "state": "57" * 32})
        self.route("GET", "/channels", {"channels": [CHANNEL, dict(CHANNEL, state="refused")]})
        self.assertIn("evidence ", self.ask("ledger", "--digest")[0])
        self.route("GET", "/channels", {"channels": [CHANNEL, dict(CHANNEL, alias="other")]})
        self.assertIn("--channel", self.ask("ledger", "--digest", status=2)[1])
        self.route("GET", "/ledger", {})
        self.assertIn("no digests", self.ask("ledger", "--channel", "north", "--digest", status=1)[1])

    def test_ledger__of_every_open_channel(self):
        self.route("GET", "/channels", {"channels": [CHANNEL, dict(CHANNEL, state="invited"), dict(CHANNEL, id="9" * 64)]})
        out, _ = self.ask("ledger")
        self.assertEqual(out.count(", of aurora.example and boreal.example"), 2)
        self.assertEqual([request[1] for request in self.server.requests if "/ledger" in request[1]],
                         [f"/api/v1/ledger?channel={CHANNEL_ID}&limit=500", "/api/v1/ledger?channel=" + "9" * 64 + "&limit=500"])
        self.assertEqual(len(json.loads(self.ask("ledger", "--json")[0])["ledgers"]), 2)
        self.route("GET", "/channels", {"channels": []})
        self.assertIn("No channel is open", self.ask("ledger")[0])

    def test_ledger__lines_are_exact(self):
        lines = "a\tb\n\u202eevil\n".encode()
        self.route("GET", "/ledger/lines", lines)
        out, _ = self.ask("ledger", "--channel", "north", "--lines", "state", "--at", "2021-05-30", text=False)
        self.assertEqual(out, lines)
        self.assertEqual(self.asked()[2], {"channel": "north", "at": "2021-05-30T00:00:00Z", "what": "state"})
        self.assertIn("\\u{202e}evil", self.on_terminal(80, "ledger", "--channel", "north", "--lines", "evidence"))

    def test_ledger__narrow_terminal_cuts_no_duty(self):
        out = self.on_terminal(80, "ledger", "--channel", "north")
        self.safe(out)
        for words in ("overdue  2021-05-30 07:02:00 (2 h 10 min ago)  you", "clock: receipt by aurora.example 2021-05-29 07:02:00"):
            self.assertIn(words, out)
        wide = self.on_terminal(200, "ledger", "--channel", "north")
        self.assertIn("CLOCK STARTED (UTC)", wide)
        self.assertTrue(all(len(line) <= 200 for line in wide.splitlines()))

    def test_ledger__hundred_thousand_open_duties(self):
        ledger = dict(LEDGER, obligation_count=100000, duties={"open": 99000, "mine": 61000, "overdue": 70000}, obligations=[OBLIGATION] * 30000, refused=LEDGER["refused"] * 5000)
        content = json.dumps(ledger).encode()
        self.assertGreater(len(content), 8 << 20)
        self.route("GET", "/ledger", content)
        out, _ = self.ask("ledger", "--channel", "north")
        self.assertRegex(out, "\n  Duties +70000 overdue, 99000 not done \\(61000 of them ours\\)")
        self.assertIn("and 99500 more; --json shows them", out)
        self.assertIn("500 or more not allowed", out)
        self.assertEqual(len(json.loads(self.ask("ledger", "--channel", "north", "--json")[0])["obligations"]), 30000)

    def test_ledger__broken_answers_do_no_harm(self):
        for content in ({}, {"obligations": [1, None, {}, []], "balances": [1, {}], "members": 3, "suspended": [{}], "agreement": [], "claims": [{}],
                             "checks": [{"asked": 1}], "threat_level": {}, "refused": [1], "exercises": {"threads": 1}}):
            self.route("GET", "/ledger", content)
            self.ask("ledger", "--channel", "north")
        for content in (b"[]", b"{", b'{"a":1', b'{"a":1}x', b'{"a"', b'{"a":[1,}', b'{"a":1 "b":2}', b'{a:1}', b"", b'{"a":"\\', b"{,}"):
            self.route("GET", "/ledger", content)
            self.assertIn("the node's answer", self.ask("ledger", "--channel", "north", status=1)[1])


class Thread(WithNode):
    THREAD = {"thread": MSG, "machine": "request", "exercise": False,
              "tracks": [{"member": "boreal.example", "state": "withdrawn", "closed": True, "crossed": True, "outcome": "refused"},
                         {"member": "corvus.example", "state": "asked", "closed": False, "crossed": False}],
              "takes": ["correction.recall", "evidence.item"],
              "messages": [{"message": MSG, "kind": "request.information", "allowed": True, "reason": None},
                           {"message": f"{ID}/boreal.example/4", "kind": "answer.response", "allowed": False, "reason": "this side has answered " + EVIL}],
              "obligations": [obligation(state="done", due="2021-05-30T07:02:00Z", done_at="2021-05-30T07:00:00Z", claimed=True, in_time=True)],
              "bindings": [{"thread": MSG, "accepted": MSG, "digest": "dd" * 32}],
              "custody": [{"time": "2021-05-30T07:00:00Z", "who": "Bo " + EVIL, "action": "imaged the disk", "source": f"{ID}/boreal.example/4"}],
              "use_limits": [{"source": f"{ID}/boreal.example/4", "text": "Not in court " + EVIL}]}

    def setUp(self):
        super().setUp()
        self.route("GET", "/messages/" + MSG, DETAIL)

    def test_show__tells_the_thread(self):
        self.route("GET", "/threads/" + MSG, self.THREAD)
        out, _ = self.ask("show", MSG)
        self.safe(out)
        for words in ("Thread (request) begun by north/aurora.example/3", "with boreal.example: withdrawn, answer: refused, closed, crossed",
                      "with corvus.example: asked\n", "north/boreal.example/4 (answer.response): this side has answered",
                      "You may say next: correction.recall, evidence.item", "done 2021-05-30 07:00:00 (claimed)", "Accepted by every member",
                      "2021-05-30 07:00:00 UTC  Bo", "imaged the disk (north/boreal.example/4)", "Not in court", ", answer: refused, closed",
                      "signed at 2021-05-30 09:13:20 UTC"):
            self.assertIn(words, out)
        shown = json.loads(self.ask("show", MSG, "--json")[0])
        self.assertEqual(shown.pop("in_thread"), self.THREAD)
        self.assertEqual(shown, DETAIL)

    def test_show__without_a_thread_shows_the_evidence(self):
        out, err = self.ask("show", MSG)
        self.assertEqual(err, "")
        self.assertIn("signed at", out)
        self.assertIsNone(json.loads(self.ask("show", MSG, "--json")[0])["in_thread"])
        self.route("GET", "/threads/" + MSG, {"error": {"code": "busy", "rule": None, "text": "later"}}, 503)
        out, err = self.ask("show", MSG)
        self.assertIn("its thread cannot be told: later", err)
        self.assertIn("signed at", out)

    def test_channel_show__tells_agreement_and_suspension(self):
        self.route("GET", "/channels/north", CHANNEL)
        suspended = [{"by": "boreal.example", "since": "2021-05-30T01:00:00Z", "message": f"{ID}/boreal.example/8"}]
        self.route("GET", "/ledger", dict(LEDGER, suspended=suspended))
        out, err = self.ask("channel", "show", "north")
        self.assertEqual(err, "")
        for words in ("in force until 2022-06-10", "SUSPENDED by boreal.example", "Other terms are in force", "ab" * 32):
            self.assertIn(words, out)
        self.assertEqual(json.loads(self.ask("channel", "show", "north", "--json")[0]), CHANNEL)
        self.route("GET", "/ledger", {"error": {"code": "busy", "rule": None, "text": "later"}}, 503)
        out, err = self.ask("channel", "show", "north")
        self.assertIn("cannot be told: later", err)
        self.assertIn("FROZEN", out)


FORGED = "x|y\n# Forged\n- <script>alert(1)</script> [a](http://evil) ![i](x) `code` **bold** _it_ \\| www.evil.example " + EVIL + " Привет"


class Report(WithNode):
    def setUp(self):
        super().setUp()
        subprocess.run([EVIDENCE, self.folder], check=True)
        self.report = json.loads((self.folder / "report.json").read_text())

    def serve(self, report):
        self.content = json.dumps(report, ensure_ascii=False, separators=(",", ":")).encode()
        self.route("GET", "/report", self.content)

    def test_report__markdown_with_a_proof_for_each_line(self):
        self.serve(self.report)
        out, err = self.ask("report", "--channel", "north", "--from", "2021-05-01", "--to", "2021-06-30T00:00:00Z", "--publish")
        self.assertEqual(err, "")
        self.assertEqual(self.asked()[2], {"channel": "north", "from": "2021-05-01T00:00:00Z", "to": "2021-06-30T00:00:00Z", "publish": "1"})
        line, = (line for line in out.splitlines() if '"Ransomware"' in line)
        for words in ("2021-05-30 09:12:00 UTC", "| aurora.example | boreal.example |", "flash: Incident notification", "granted",
                      "answered 2021-05-30 10:20:00 UTC, in time by boreal.example/1 (proof 2)", "aurora.example/3 (proof 1)"):
            self.assertIn(words, line)
        self.assertEqual(len(re.findall(r"(?<!\\)\|", line)), 9)
        for words in ("# Report on the channel north\n", "| aurora.example | boreal.example | 1 | 1 | 1 | 0 | 1 | 0 | 0 |",
                      "Nothing that is named here.", "leaf hash"):
            self.assertIn(words, out)
        entry = self.report["proofs"][0]["entry"].encode()
        self.assertIn(f"| 1 | aurora.example/3 | `{hashlib.sha256(bytes(1) + entry).hexdigest()}` |", out)

    def test_report__comm_checks_are_a_figure(self):
        self.report["checks"] = [{"by": "boreal.example", "asked": 3, "answered": 2}, {"by": "aurora.example", "asked": 0, "answered": 0}]
        self.report["lines"][0].update(kind="contact.check", answer=None, answered=None, in_time=None, state="open", outcome=None, duty="answer")
        self.serve(self.report)
        out, _ = self.ask("report", "--channel", "north")
        self.assertEqual(re.findall("Comm checks.*", out), ["Comm checks, counted apart: boreal.example answered 2 of 3"])
        self.assertIn("Nothing that is named here.", out.split("## Not answered")[1].split("##")[0])

    def test_report__unanswered_are_named(self):
        self.report["lines"][0].update(answer=None, answered=None, in_time=None, overdue=True, state="overdue", outcome=None, duty="answer")
        self.report["sums"][0].update(answered=0, answered_in_time=0, granted=0, not_answered=1, unanswered=["aurora.example/3"])
        self.serve(self.report)
        out, _ = self.ask("report", "--channel", "north")
        self.assertIn("| aurora.example | boreal.example | 1 | 0 | 0 | 0 | 0 | 0 | 1 |", out)
        part = out.split("## Not answered")[1].split("##")[0]
        self.assertIn("aurora.example/3 (proof 1)", part)
        self.assertIn("**overdue**", part)
        self.assertNotIn("still owed", out)
        self.report["lines"][0].update(asked_of="aurora.example", duty="final", subject="Owed")
        self.serve(self.report)
        out, _ = self.ask("report", "--channel", "north")
        self.assertIn("owes the final report: **overdue**", out.split("## Reports still owed")[1].split("##")[0])
        self.assertIn("Nothing that is named here.", out.split("## Not answered")[1].split("##")[0])
        for change in ({"exercise": True}, {"state": "sent, not receipted"}, {"state": "ended"}, {"duty": None}):
            self.report["lines"][0].update({"asked_of": "boreal.example", "duty": "answer", "state": "open", "exercise": False}, **change)
            self.serve(self.report)
            self.assertIn("Nothing that is named here.", self.ask("report", "--channel", "north")[0].split("## Not answered")[1].split("##")[0])

    def test_report__others_text_forges_no_structure(self):
        self.report["lines"][0]["subject"] = FORGED
        self.report["lines"][0]["state"] = FORGED
        self.report["alias"] = FORGED
        self.serve(self.report)
        out, _ = self.ask("report", "--channel", "north")
        self.safe(out)
        self.assertIn("Привет", out)
        self.assertEqual(re.findall(r"(?m)^#+ .*Forged", out)[1:], [])  # the alias stands in the title, on one line
        headings = re.findall(r"(?m)^#+ (.*)$", out)
        self.assertEqual([heading for heading in headings[1:]], ["In figures", "Not answered", "All, in order", "Proofs"])
        for forged in ("<script", "[a](", "![i]", "`code`", "**bold**"):
            self.assertNotRegex(out, r"(?<!\\)" + re.escape(forged))
        self.assertNotRegex(out, r"(?<!\\)<")
        self.assertNotIn("http://", out)
        line, = (line for line in out.splitlines() if "Incident notification" in line)
        self.assertEqual(len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)), 9)

    def test_report__files(self):
        self.serve(self.report)
        _, err = self.ask("report", "--channel", "north", "-o", "half")
        self.assertIn("entente verify half.json", err)
        self.assertEqual((self.folder / "half.json").read_bytes(), self.content)
        self.assertIn(hashlib.sha256(self.content).hexdigest(), (self.folder / "half.md").read_text())
        self.assertEqual(stat.S_IMODE((self.folder / "half.md").stat().st_mode), 0o600)
        self.run_cli("verify", "half.json", "--card", "aurora.card", "--card", "boreal.card")
        out, _ = self.ask("report", "--channel", "north", "-o", "open", "--publish", "--json")
        self.assertEqual(json.loads(out), {"files": ["open.json", "open.md"]})
        self.assertEqual(stat.S_IMODE((self.folder / "open.json").stat().st_mode), 0o644)
        self.assertEqual(json.loads(self.ask("report", "--channel", "north", "--json")[0]), self.report)

    def test_report__published_counts_what_it_does_not_name(self):
        self.report.update(published=True, withheld=3, marking="TLP:CLEAR", exercises=2)
        self.serve(self.report)
        out, _ = self.ask("report", "--channel", "north", "--publish")
        self.assertIn("3 further lines are in the figures and not named", out)
        self.assertIn("**TLP:CLEAR**", out)

    def test_report__larger_than_the_json_reader_takes(self):
        line = self.report["lines"][0]
        self.report["lines"] += [dict(line, subject="y" * 900, duty=f"later-{i}", counted=False, receipted=[]) for i in range(7999)]
        self.serve(self.report)
        self.assertGreater(len(self.content), 8 << 20)
        self.ask("report", "--channel", "north", "-o", "large")
        out, _ = self.run_cli("verify", "large.json")
        self.assertIn("lines that say what their entries say: 8000", out)

    def test_report__broken_answers_are_told(self):
        for content in (b"{}", b"[]", b'{"report":2,"lines":[],"proofs":[]}', b'{"report":1,"lines":[]}', b'{"report":1,"lines":[],"lines":[],"proofs":[]}',
                        b'{"report":1,"lines":{},"proofs":[]}'):
            self.route("GET", "/report", content)
            self.assertIn("the node's answer", self.ask("report", "--channel", "north", status=1)[1])
        self.route("GET", "/report", b'{"report":1,"lines":[{},1,null],"proofs":[{},1]}')
        self.ask("report", "--channel", "north")


class VerifyReport(Case):
    CARDS = ("--card", "aurora.card", "--card", "boreal.card")

    def setUp(self):
        super().setUp()
        subprocess.run([EVIDENCE, self.folder], check=True)
        self.report = json.loads((self.folder / "report.json").read_text())

    def verify(self, report, *arguments, status=0):
        (self.folder / "report.json").write_text(json.dumps(report))
        return self.run_cli("verify", "report.json", *arguments, status=status)

    def not_valid(self, word, *arguments, **change):
        report = copy.deepcopy(self.report)
        report["lines"][0].update(change)
        out, err = self.verify(report, *arguments, status=1)
        self.assertIn("NOT VALID", out)
        self.assertIn(word, err)

    def test_verify__good_report(self):
        out, _ = self.run_cli("verify", "report.json", *self.CARDS)
        for words in ("report.json: VALID", "proofs that hold, each entry in its writer's signed log: 2", "what their entries say: 1",
                      "proven too: 1"):
            self.assertIn(words, out)
        self.assertEqual(out.count("as on its card"), 4)
        self.assertNotIn("No card", out)
        out, _ = self.verify(self.report)
        self.assertIn("No card was compared", out)
        self.assertIn("Not every key", self.verify(self.report, "--card", "aurora.card")[0])
        result, = json.loads(self.verify(self.report, *self.CARDS, "--json")[0])["results"]
        self.assertEqual((result["valid"], result["kind"], result["lines"], result["proofs"], result["answers"], result["times_not_proven"],
                          len(result["keys"]), result["card_compared"]), (True, "report", 1, 2, 1, 0, 4, True))

    def test_verify__laid_out_otherwise_is_the_same_report(self):
        (self.folder / "report.json").write_text(json.dumps(self.report, indent=2))
        self.run_cli("verify", "report.json")

    def test_verify__each_lie_of_a_line_is_found(self):
        for word, change in (
                ("kind", {"kind": "incident.final"}), ("time", {"time": "2021-05-30T09:12:01Z"}), ("writer", {"writer": "boreal.example"}),
                ("there is no proof of it", {"message": "aurora.example/4"}), ("there is no proof of it", {"message": "x"}),
                ("another thread", {"thread": "aurora.example/2"}), ("to others", {"to": ["corvus.example"]}),
                ("to others", {"asked_of": "corvus.example"}), ("urgency", {"urgency": "immediate"}), ("urgency", {"urgency": "soon"}),
                ("marking", {"marking": "TLP:CLEAR"}), ("exercise", {"exercise": True}),
                ("no proof shows that", {"receipted": [{"by": "corvus.example", "time": "2021-05-30T09:13:20Z"}]}),
                ("later than the proof shows", {"receipted": [{"by": "boreal.example", "time": "2021-05-30T09:13:21Z"}]}),
                ("was not receipted", {"state": "sent, not receipted"}), ("no proof of that", {"answer": "boreal.example/7"}),
                ("another thread", {"answer": "aurora.example/3"}), ("not by", {"asked_of": "aurora.example"}), ("another thread", {"thread": None}),
                ("in time", {"in_time": False}), ("in time", {"due": "2021-05-30T10:19:59Z"}), ("no answer is named", {"answer": None})):
            with self.subTest(word=word, change=change):
                self.not_valid(word, *self.CARDS, **change)

    def test_verify__what_the_line_may_say(self):
        for change in ({"urgency": "flash"}, {"marking": "TLP:RED"}, {"to": []}, {"subject": "other"}, {"receipted": []}, {"not_receipted": True},
                       {"outcome": "accepted"}):
            report = copy.deepcopy(self.report)
            report["lines"][0].update(change)
            self.verify(report, *self.CARDS)
        unanswered = {"answer": None, "answered": None, "in_time": None, "state": "open", "outcome": None}
        nothing = dict.fromkeys(("asked", "answered", "answered_in_time", "overdue", "granted", "refused", "not_answered"), 0)
        for change, figures in ((unanswered, {"asked": 1, "not_answered": 1, "unanswered": ["aurora.example/3"]}),
                                (dict(unanswered, state="ended"), {"asked": 1}), (dict(unanswered, counted=False, receipted=[]), {}),
                                (dict(unanswered, counted=False, asked_of="aurora.example", duty="final"), {})):
            report = copy.deepcopy(self.report)
            report["lines"][0].update(change)
            report["sums"][0].update(nothing, **figures)
            self.verify(report, *self.CARDS)
        report = copy.deepcopy(self.report)
        report["published"] = True
        report["lines"][0].update(thread=None, answer=None)
        report["sums"][0].update(asked=9)
        self.assertIn("figures count what it does not name", self.verify(report, *self.CARDS)[0])

    def test_verify__figures_are_those_of_the_lines(self):
        self.assertIn("its figures are the sums of its lines, and each line stands once", self.verify(self.report)[0])
        pair = self.report["sums"][0]
        for name in ("asked", "answered", "answered_in_time", "overdue", "granted", "refused", "not_answered"):
            for value in (pair[name] + 1, None, "1"):
                out, err = self.verify(dict(self.report, sums=[dict(pair, **{name: value})]), *self.CARDS, status=1)
                self.assertIn(f": {name} is {pair[name]} there", err)
                self.assertIn("NOT VALID", out)
        for word, change in (("leave out the line of aurora.example/3", {"sums": []}), ("twice", {"sums": [pair, pair]}),
                             ("name as unanswered", {"sums": [dict(pair, unanswered=["aurora.example/3"])]}),
                             ("the line of aurora.example/3 twice", {"lines": self.report["lines"] * 2}),
                             ("twice", {"lines": self.report["lines"] * 2, "published": True}), ("exercises", {"exercises": 1}),
                             ("who is no member", {"made_by": "corvus.example"}), ("who is no member", {"made_by": None})):
            with self.subTest(word=word):
                self.assertIn(word, self.verify(dict(self.report, **change), *self.CARDS, status=1)[1])
        for word, change in (("do not count it", {"counted": False}), ("none of what they do", {"duty": None}), ("overdue", {"overdue": True}),
                             ("none of what they do", {"kind": "incident.notification", "asked_of": None, "answer": None, "in_time": None}),
                             ("done in time", {"state": "open"}), ("granted is 0", {"outcome": "refused"})):
            with self.subTest(word=word, change=change):
                self.not_valid(word, *self.CARDS, **change)

    def test_verify__times_on_the_makers_word(self):
        report = copy.deepcopy(self.report)
        report["lines"][0]["receipted"][0]["time"] = "2021-05-30T09:13:00Z"
        report["lines"][0]["claimed"] = True
        report["lines"][0]["answered"] = "2021-05-30T10:18:00Z"
        self.assertIn("rest on the word of who made it (an earlier head may have carried them): 2", self.verify(report, *self.CARDS)[0])

    def test_verify__proofs_are_checked(self):
        for part in ("entry", "proof", "policy"):
            good = self.report["proofs"][0][part]
            for at in range(0, len(good), 29):
                report = copy.deepcopy(self.report)
                report["proofs"][0][part] = good[:at] + chr(ord(good[at]) ^ 1) + good[at + 1:]
                out, err = self.verify(report, *self.CARDS, status=1)
                self.assertIn("proof 1, of aurora.example/3" if "proof 1" in err else "is not the one on its card", err)
        report = copy.deepcopy(self.report)
        report["proofs"][0]["message"], report["proofs"][1]["message"] = "boreal.example/1", "aurora.example/3"
        self.assertIn("not of the message that it names", self.verify(report, status=1)[1])
        self.assertIn("there is no proof of it", self.verify(dict(self.report, proofs=self.report["proofs"][1:]), status=1)[1])
        self.assertIn("of another channel", self.verify(dict(self.report, channel="ab" * 32), status=1)[1])
        self.assertIn("the report's channel", self.verify(dict(self.report, channel="north"), status=1)[1])
        sums = [dict(self.report["sums"][0], unanswered=["aurora.example/4"])]
        self.assertIn("as unanswered", self.verify(dict(self.report, sums=sums), status=1)[1])

    def test_verify__forged_keys_refused_by_the_card(self):
        self.run_cli("init", "--name", "boreal.example", "--dir", "forged")
        self.assertIn("is not the one on its card", self.run_cli("verify", "report.json", "--card", "forged/card", status=1)[1])

    def test_verify__truncated_reports_refused(self):
        good = (self.folder / "report.json").read_bytes()
        for size in range(10, len(good) - 2, 97):
            (self.folder / "report.json").write_bytes(good[:size])
            self.run_cli("verify", "report.json", status=1)

    def test_verify__mutated_reports_never_say_more(self):
        good = (self.folder / "report.json").read_bytes()
        for at in range(12, len(good), 41):
            (self.folder / "report.json").write_bytes(good[:at] + bytes([good[at] ^ 2]) + good[at + 1:])
            done = subprocess.run([ENTENTE, "verify", "report.json", *self.CARDS], cwd=self.folder, capture_output=True, check=False)
            self.assertIn(done.returncode, (0, 1), done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
