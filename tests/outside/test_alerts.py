"""What an officer is told at 3 a.m.: by mail through a real SMTP server, a webhook and a program; with servers that are
down, nodes that restart, and configurations with mistakes in them."""

import email.utils
import json
import os
import subprocess
import time
import unittest

from node import BUILD, EXAMPLES, PATIENCE_S, free_port, wait_for
from outside import CHECK, INCIDENT, OutsideTest
from peer import tls_identity
from sinks import MailServer, Program, WebServer, server_context

DUTY = "duty@north.example"


class AlertsTest(OutsideTest):
    """One node, and a party that says things to it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("north.example")
        cls.party = cls.new_party("south.example", cls.node)
        cls.channel = cls.open_with(cls.party, cls.node, "hotline")
        cls.mail = MailServer().start()
        cls.addClassCleanup(cls.mail.stop)

    def configure(self, check=True, node=None, **members):
        """Write alerts.json and have the node read it: gives what `alerts test` says."""
        node = node or self.node
        with open(os.path.join(node.dir, "alerts.json"), "w", encoding="utf-8") as file:
            json.dump(members, file)
        return node.run("alerts", "test", "--json", check=check)

    def email(self, **more):
        return {"url": f"smtp://127.0.0.1:{self.mail.port}", "from": "entente@north.example", "to": [DUTY]} | more

    def flash(self, **more):
        """The party says something flash; gives its name at the node."""
        index = self.channel.say("incident.notification", INCIDENT, urgency="flash", **more)
        self.deliver(self.channel, self.node)
        return f"hotline/{self.party.name}/{index}"

    def alerts(self, *options, node=None):
        return (node or self.node).json("alerts", "list", *options)["alerts"]

    def alert(self, message, *options):
        rows = [row for row in self.alerts("--all", *options) if row["message"] == message]
        self.assertLessEqual(len(rows), 1, rows)
        return rows[0] if rows else None

    def sink(self, message, name):
        row = self.alert(message)
        return next((sink for sink in row["sinks"] if sink["sink"] == name), None) if row else None

    def delivered(self, message, name="email"):
        wait_for(lambda: (self.sink(message, name) or {}).get("state") == "delivered")

    def file(self, name, content, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(path, mode)
        return path


class Unconfigured(AlertsTest):
    def test_alerts__without_a_configuration_say_how_to_write_one(self):
        self.assertIn("alerts.json", self.node.text("alerts"))
        self.assertEqual(self.node.json("alerts")["configured"], [])
        done = self.node.run("alerts", "test", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"alerts.json", done.stderr)
        self.assertEqual(self.node.run("alerts", "sing", check=False).returncode, 2)


class Configuration(AlertsTest):
    def test_config__every_mistake_is_named(self):
        plain = self.file("plain", "secret\n", 0o644)
        empty = self.file("empty", "\n")
        program = self.file("program.txt", "#!/bin/sh\n")
        loose = self.file("loose", "#!/bin/sh\n", 0o777)
        webhook = {"url": "https://hooks.north.example/"}
        mistakes = (
            ({}, "neither"),
            ({"emial": self.email()}, "emial"),
            ({"email": []}, "email"),
            ({"email": {"url": "smtp://a"}}, "from"),
            ({"email": self.email(to=[])}, "to"),
            ({"email": self.email(to="duty@north.example")}, "to"),
            ({"email": self.email(to=["duty@north.example\r\nBcc: x@y.example"])}, "to"),
            ({"email": self.email(url="http://mail")}, "smtp://"),
            ({"email": self.email(user="u")}, "password_file"),
            ({"email": self.email(user="u", password_file="secret")}, "begins with /"),
            ({"email": self.email(user="u", password_file="/nonexistent")}, "No such file"),
            ({"email": self.email(user="u", password_file=plain)}, "others can read"),
            ({"email": self.email(user="u", password_file=empty)}, "first line"),
            ({"email": self.email(require_tls="yes")}, "require_tls"),
            ({"email": self.email(), "due_soon_s": -1}, "due_soon_s"),
            ({"email": self.email(), "flash_unread_s": 1.5}, "flash_unread_s"),
            ({"email": self.email(), "expiring_days": 10**12}, "expiring_days"),
            ({"email": self.email(), "include_subject": 1}, "include_subject"),
            ({"webhook": {"url": "ftp://a/"}}, "https://"),
            ({"webhook": webhook | {"secret_file": plain}}, "others can read"),
            ({"webhook": webhook | {"secret": "s"}}, "secret_file"),
            ({"execute": {"path": "bin/page"}}, "begins with /"),
            ({"execute": {"path": program}}, "chmod +x"),
            ({"execute": {"path": loose}}, "anybody can write"),
            ({"execute": {"path": "/"}}, "not a file"),
        )
        for members, words in mistakes:
            done = self.configure(check=False, **members)
            self.assertEqual(done.returncode, 1, (members, done))
            text = json.loads(done.stderr)["error"]["text"]
            self.assertIn(words, text)
            self.assertIn("alerts.json", text)

    def test_config__with_a_mistake_keeps_a_node_from_starting(self):
        node = self.new_node("west.example")
        node.stop()
        path = os.path.join(node.dir, "alerts.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write('{"email":{"url":"smtp://localhost"')
        done = subprocess.run([os.path.join(BUILD, "entented"), "--dir", node.dir], capture_output=True, check=False,
                              timeout=PATIENCE_S)  # fmt: skip
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(b"alerts.json", done.stderr)
        os.remove(path)
        node.start()


class Told(AlertsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hook = WebServer(secret=b"correct horse")
        cls.addClassCleanup(cls.hook.close)
        cls.program = Program(cls.folder)

    def webhook(self):
        return {"url": self.hook.url, "secret_file": self.file("hook-secret", "correct horse\n")}

    def test_flash__unopened_is_told_once_by_every_sink(self):
        said = self.configure(flash_unread_s=1, email=self.email(to=[DUTY, "second@north.example"]),
                              webhook=self.webhook(), execute={"path": self.program.path})  # fmt: skip
        self.assertEqual([row["delivered"] for row in json.loads(said.stdout)["results"]], [True] * 3)
        self.assertEqual(len(self.hook.taken("test")), 1)
        message = self.flash()
        for sink in ("email", "webhook", "execute"):
            self.delivered(message, sink)
        (mail,) = self.mail.about(message)
        self.assertEqual(mail.recipients, [DUTY, "second@north.example"])
        self.assertEqual((mail["From"], mail.sender), ("entente@north.example",) * 2)
        self.assertEqual(mail["To"], f"{DUTY}, second@north.example")
        self.assertLess(abs(time.time() - email.utils.parsedate_to_datetime(mail["Date"]).timestamp()), 60)
        self.assertRegex(mail["Message-ID"], r"^<[0-9a-f]{32}@north\.example>$")
        self.assertEqual(mail["Subject"], f"[Entente north.example] FLASH message not opened: {message}")
        self.assertEqual((mail.get_content_type(), mail.get_content_charset()), ("text/plain", "utf-8"))
        for words in (f"entente open {message}", "incident.notification", self.party.name, "UTC", "no officer"):
            self.assertIn(words, mail.get_content())
        self.assertNotIn(INCIDENT["fields"]["title"], mail.get_content())
        (posted,) = [alert for alert in self.hook.taken("flash-unread") if alert["message"] == message]
        (ran,) = [alert for alert in self.program.taken("flash-unread") if alert["message"] == message]
        self.assertEqual(posted, ran)
        self.assertEqual((posted["channel"], posted["alias"], posted["due"]), (self.channel.id, "hotline", None))
        self.assertEqual(self.hook.bad, [])
        self.assertEqual(self.program.descriptors(), ["0", "1", "2", "3"])  # 3 is what ls looks with
        self.assertIn(message, self.node.text("alerts", "list", "--all"))
        time.sleep(2.5)  # found again in every round since
        self.assertEqual(len(self.mail.about(message)), 1)

    def test_flash__opened_in_time_is_not_told(self):
        self.configure(flash_unread_s=3, email=self.email())
        opened, shown, unopened = self.flash(), self.flash(), self.flash()
        self.node.run("open", opened)
        self.node.run("show", shown)
        self.delivered(unopened)
        self.assertEqual((self.alert(opened), self.alert(shown)), (None, None))

    def test_flash__of_an_exercise_says_so_and_routine_is_not_watched(self):
        self.configure(flash_unread_s=1, email=self.email())
        routine = self.channel.say("incident.notification", INCIDENT)
        message = self.flash(exercise=True)
        self.delivered(message)
        (mail,) = self.mail.about(message)
        self.assertIn("EXERCISE", mail["Subject"])
        self.assertIsNone(self.alert(f"hotline/{self.party.name}/{routine}"))

    def test_flash__subject_is_told_only_when_asked_for(self):
        self.configure(flash_unread_s=1, include_subject=True, email=self.email())
        body = json.loads(json.dumps(INCIDENT))
        body["fields"]["title"] = "Überfall\u202e auf\r\nBcc: x@evil.example \x1b[31m данные"
        index = self.channel.say("incident.notification", body, urgency="flash")
        self.deliver(self.channel, self.node)
        message = f"hotline/{self.party.name}/{index}"
        self.delivered(message)
        (mail,) = self.mail.about(message)
        self.assertIn("\nSubject: Überfall  auf  Bcc: x@evil.example  [31m данные\r\n", mail.get_content())
        self.assertIsNone(mail["Bcc"])
        self.assertEqual(mail.recipients, [DUTY])

    def test_mail__waits_for_a_server_that_is_down_also_over_restarts(self):
        self.configure(flash_unread_s=1, email=self.email(), webhook=self.webhook())
        self.mail.stop()
        message = self.flash()
        self.delivered(message, "webhook")
        waiting = wait_for(lambda: (lambda s: s if s and s["attempts"] > 0 else None)(self.sink(message, "email")))
        self.assertEqual(waiting["state"], "waiting")
        self.assertIn(str(self.mail.port), waiting["last_error"])
        text = self.node.text("alerts")
        self.assertIn("email waiting", text)
        self.assertIn(waiting["last_error"][:30], text)
        self.node.stop()
        self.node.start()
        wait_for(lambda: self.sink(message, "email")["attempts"] > waiting["attempts"])
        self.node.kill()
        self.mail.start()
        self.node.start()
        self.delivered(message)
        # what was delivered is not told again, neither in the next rounds nor after the next start
        self.node.stop()
        self.node.start()
        later = self.flash()
        self.delivered(later)
        self.assertEqual(len(self.mail.about(message)), 1)
        self.assertEqual(len([a for a in self.hook.taken("flash-unread") if a["message"] == message]), 1)

    def test_mail__is_tried_again_while_the_server_is_down_and_leaves_when_it_is_back(self):
        self.configure(flash_unread_s=1, email=self.email())
        self.mail.stop()
        message = self.flash()
        wait_for(lambda: (self.sink(message, "email") or {}).get("attempts"))
        self.mail.start()
        self.delivered(message)  # by itself: the first pause is 5 s
        self.assertEqual(len(self.mail.about(message)), 1)

    def test_mail__one_refused_recipient_does_not_keep_the_others_from_being_told(self):
        self.mail.refuse = {"gone@north.example": "550 no such mailbox"}
        self.addCleanup(self.mail.refuse.clear)
        done = self.configure(check=False, flash_unread_s=1, email=self.email(to=["gone@north.example", DUTY]))
        self.assertEqual(done.returncode, 1)  # but the test names it
        self.assertIn("550", json.loads(done.stdout)["results"][0]["error"])
        message = self.flash()
        self.delivered(message)
        self.assertEqual(self.mail.about(message)[0].recipients, [DUTY])

    def test_mail__refused_by_the_server_is_tried_again(self):
        self.configure(flash_unread_s=1, email=self.email())
        self.mail.refuse_data = "451 try later"
        message = self.flash()
        refused = wait_for(lambda: (lambda s: s if s and s["attempts"] > 0 else None)(self.sink(message, "email")))
        self.assertEqual(refused["state"], "waiting")
        self.assertIn("451", refused["last_error"])
        self.mail.refuse_data = None
        self.delivered(message)

    def test_webhook__is_posted_again_until_it_is_taken(self):
        self.configure(flash_unread_s=1, webhook=self.webhook())
        self.hook.answers = [(500, {}, b"on fire"), (302, {"Location": "/elsewhere"}, b"")]
        self.addCleanup(self.hook.answers.clear)
        message = self.flash()
        failed = wait_for(lambda: (lambda s: s if s and s["attempts"] > 0 else None)(self.sink(message, "webhook")))
        self.assertIn("500: on fire", failed["last_error"])
        wait_for(lambda: "redirect" in (self.sink(message, "webhook")["last_error"] or ""))
        self.delivered(message, "webhook")
        self.assertEqual(self.sink(message, "webhook")["attempts"], 3)
        self.assertEqual(self.hook.bad, [])

    def test_webhook__a_long_answer_is_not_read_whole(self):
        self.configure(webhook=self.webhook())
        self.hook.answers = [(200, {}, b"x" * 10_000_000)]
        self.node.run("alerts", "test")

    def test_program__that_fails_is_run_again(self):
        self.configure(flash_unread_s=1, execute={"path": self.program.path})
        self.program.fail(1)
        message = self.flash()
        failed = wait_for(lambda: (lambda s: s if s and s["attempts"] > 0 else None)(self.sink(message, "execute")))
        self.assertIn("status 3: the pager is dead", failed["last_error"])
        self.delivered(message, "execute")
        self.assertEqual(self.sink(message, "execute")["attempts"], 2)

    def test_sink__taken_out_of_the_configuration_is_dropped(self):
        self.configure(flash_unread_s=1, email=self.email(url=f"smtp://127.0.0.1:{free_port()}"), webhook=self.webhook(),
                       check=False)  # fmt: skip
        message = self.flash()
        self.delivered(message, "webhook")
        self.configure(flash_unread_s=1, webhook=self.webhook())
        wait_for(lambda: self.sink(message, "email")["state"] == "dropped")
        self.assertNotIn(message, [row["message"] for row in self.alerts()])

    def test_fork__is_told(self):
        self.configure(email=self.email())
        channel = self.open_with(self.party, self.node, "forked")
        start = channel.copy()
        for _ in range(2):
            channel.say("contact.check", CHECK)
        self.deliver(channel, self.node)
        for _ in range(2):
            start.say("contact.check", CHECK)
        answer = self.party.to[self.node.name].post(start.pouch(self.node.name, old_size=1))
        self.assertEqual(answer.word, "fork")
        (mail,) = wait_for(lambda: self.mail.about("forked"))
        self.assertIn(f"FORK: the log of {self.party.name} in channel forked", mail["Subject"])
        self.assertIn(f"entente peer show {self.party.name}", mail.get_content())


def after(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


class Deadlines(AlertsTest):
    """Two nodes under terms with deadlines of seconds, each with its own officers."""

    @classmethod
    def setUpClass(cls):
        OutsideTest.setUpClass.__func__(cls)
        cls.aurora, cls.boreal = cls.new_node("aurora.example"), cls.new_node("boreal.example")
        cls.aurora.add_peer(cls.boreal.card_path)
        cls.boreal.add_peer(cls.aurora.card_path)
        terms = os.path.join(cls.folder, "terms.json")
        with open(terms, "w", encoding="utf-8") as file:
            json.dump(
                {
                    "title": "Deadlines of seconds",
                    "parties": [cls.aurora.name, cls.boreal.name],
                    "validity": {
                        "from": "2021-01-01T00:00:00Z",
                        "until": after(20 * 86400),
                        "extension": {"by_days": 365, "unless_declined_days_before": 5},
                    },
                    "deadlines": [{"kind": "request.information", "urgency": "routine", "answer_s": 7}],
                },
                file,
            )
        cls.id = cls.aurora.text("channel", "open", "--with", cls.boreal.name, "--terms", terms, "--alias", "hotline")
        wait_for(lambda: cls.boreal.json("channel", "list")["channels"])
        cls.boreal.run("channel", "accept", cls.id, "--alias", "redline")
        for node, alias in ((cls.aurora, "hotline"), (cls.boreal, "redline")):
            wait_for(lambda: node.channel(alias)["state"] == "open")
        cls.mails = {}
        for node in (cls.aurora, cls.boreal):
            cls.mails[node.name] = MailServer().start()
            cls.addClassCleanup(cls.mails[node.name].stop)

    def watch(self, node, **more):
        self.mail = self.mails[node.name]
        self.configure(node=node, email=self.email(), **more)

    def rows(self, node, what, message):
        return [row for row in self.alerts("--all", node=node) if (row["what"], row["message"]) == (what, message)]

    def ask(self, *more):
        body = os.path.join(EXAMPLES, "request.information.json")
        message = self.aurora.text("send", "request.information", "--channel", "hotline", "--body", body, *more,
                                   "--wait", "receipt")  # fmt: skip
        return message, "redline/" + message.split("/", 1)[1]

    def test_duty__due_soon_and_overdue_are_told_to_those_whom_they_concern(self):
        self.watch(self.aurora, due_soon_s=4)
        self.watch(self.boreal, due_soon_s=4)
        here, there = self.ask()
        (soon,) = wait_for(lambda: self.rows(self.boreal, "due-soon", there))
        self.assertIn("our answer to " + there, soon["text"])
        self.assertIn(f"entente send answer.response --edit --reply-to {there}", soon["text"])
        self.assertEqual(self.rows(self.boreal, "overdue", there), [])
        (late,) = wait_for(lambda: self.rows(self.boreal, "overdue", there))
        self.assertEqual(late["due"], soon["due"])
        self.assertGreater(late["time"], late["due"])
        self.assertTrue(late["text"].startswith(f"OVERDUE: our answer to {there}\n"), late)
        self.assertIn(f"the receipt of {self.boreal.name}", late["text"])
        (theirs,) = wait_for(lambda: self.rows(self.aurora, "overdue", here))
        self.assertTrue(theirs["text"].startswith(f"OVERDUE: answer of {self.boreal.name} to {here}\n"), theirs)
        self.assertIn(f"entente peer show {self.boreal.name}", theirs["text"])
        self.assertEqual(self.rows(self.aurora, "due-soon", here), [])  # what they owe is not yet our business
        wait_for(lambda: self.mails[self.boreal.name].about("OVERDUE: our answer to " + there))
        time.sleep(2.5)
        self.assertEqual(len(self.mails[self.boreal.name].about("OVERDUE: our answer to " + there)), 1)
        self.assertEqual(len(self.rows(self.boreal, "overdue", there)), 1)

    def test_duty__done_in_time_is_not_told_and_exercises_say_so(self):
        self.watch(self.boreal, due_soon_s=0)
        _, answered = self.ask()
        _, unanswered = self.ask("--exercise")
        body = os.path.join(EXAMPLES, "answer.response.json")
        self.boreal.run("send", "answer.response", "--reply-to", answered, "--body", body, "--wait", "receipt")
        (late,) = wait_for(lambda: self.rows(self.boreal, "overdue", unanswered))
        self.assertTrue(late["text"].startswith("EXERCISE: OVERDUE: our answer"), late)
        self.assertEqual(self.rows(self.boreal, "overdue", answered), [])
        self.assertEqual(self.rows(self.boreal, "due-soon", unanswered), [])

    def test_agreement__that_ends_is_told(self):
        self.watch(self.aurora)
        (row,) = wait_for(lambda: self.rows(self.aurora, "expiring", None))
        self.assertRegex(row["text"], "^The agreement of channel hotline ends in (19|20) days\n")
        self.assertIn("extended by itself unless a party declines before", row["text"])

    def test_check__that_is_not_answered_is_told(self):
        self.watch(self.aurora)
        self.boreal.stop()
        self.addCleanup(self.boreal.start)
        check = {"fields": {"nonce": "00" * 16, "reply_by": after(3)}}
        body = self.file("check.json", json.dumps(check))
        message = self.aurora.text("send", "contact.check", "--channel", "hotline", "--body", body)
        (row,) = wait_for(lambda: self.rows(self.aurora, "check-failed", message))
        self.assertIn(f"Comm check failed: no answer of {self.boreal.name} to {message}", row["text"])
        self.assertIn("never receipted", row["text"])
        self.assertEqual(row["due"], check["fields"]["reply_by"])


class Secured(AlertsTest):
    """TLS, as smtps:// and by STARTTLS, and a password that never leaves without it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pem, _ = tls_identity("localhost", cls.folder)
        cls.other, _ = tls_identity("elsewhere.example", cls.folder)

    def server(self, **options):
        server = MailServer(**options).start()
        self.addCleanup(server.stop)
        return server

    def attempt(self, server, scheme="smtp", **more):
        """Whether the test was delivered, and the error."""
        done = self.configure(check=False, email=self.email(url=f"{scheme}://localhost:{server.port}", **more))
        (result,) = json.loads(done.stdout)["results"]
        return result["delivered"], result["error"]

    def login(self, password):
        return {"user": "entente", "password_file": self.file("password", password + "\n")}

    def test_tls__is_used_when_offered(self):
        server = self.server(tls=server_context(self.pem))
        self.assertEqual(self.attempt(server), (True, None))
        self.assertEqual(server.secure, [True])

    def test_tls__required_is_not_done_without(self):
        delivered, error = self.attempt(self.server(), require_tls=True)
        self.assertFalse(delivered)
        self.assertIn("TLS", error)

    def test_tls__required_trusts_only_what_is_vouched_for(self):
        server = self.server(tls=server_context(self.pem))
        self.assertFalse(self.attempt(server, require_tls=True)[0])
        self.assertFalse(self.attempt(server, require_tls=True, ca_file=self.other)[0])
        self.assertEqual(self.attempt(server, require_tls=True, ca_file=self.pem), (True, None))
        wrong_name = self.server(tls=server_context(self.other))
        self.assertFalse(self.attempt(wrong_name, require_tls=True, ca_file=self.other)[0])
        self.assertEqual(len(server.messages), 1)

    def test_tls__from_the_start(self):
        server = self.server(tls=server_context(self.pem), implicit=True)
        self.assertFalse(self.attempt(server, "smtps")[0])
        self.assertEqual(self.attempt(server, "smtps", ca_file=self.pem), (True, None))

    def test_login__needs_tls_and_the_right_password(self):
        server = self.server(tls=server_context(self.pem), login=("entente", "long secret"))
        self.assertEqual(self.attempt(server, ca_file=self.pem, **self.login("long secret")), (True, None))
        delivered, error = self.attempt(server, ca_file=self.pem, **self.login("wrong secret"))
        self.assertFalse(delivered)
        self.assertIn("password", error)
        self.assertNotIn("wrong secret", error)
        self.assertFalse(self.attempt(server, **self.login("long secret"))[0])  # not to a server nobody vouches for
        self.assertFalse(self.attempt(self.server(), **self.login("long secret"))[0])  # nor in the clear
        self.assertEqual(len(server.messages), 1)


if __name__ == "__main__":
    unittest.main()
