"""A real node, as a user meets it: `entente init`, `entented`, and the command line."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time

import formats

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("ENTENTE_BUILD", os.path.join(SOURCE, "build"))
EXAMPLES = os.path.join(SOURCE, "examples")
PATIENCE_S = float(os.environ.get("ENTENTE_PATIENCE", "20"))  # a node under sanitizers is slower
SANITIZED = "ASAN_OPTIONS" in os.environ


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for(what, seconds=PATIENCE_S, step=0.02):
    """Wait until what() is true; gives it."""
    until = time.monotonic() + seconds
    while True:
        result = what()
        if result:
            return result
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {what.__doc__ or what}")
        time.sleep(step)


class CliError(AssertionError):
    pass


class Node:
    def __init__(self, folder, name, air_gapped=False, url=None, host="127.0.0.1", port=None):
        self.name = name
        self.dir = os.path.join(folder, name.split(".")[0])
        self.log_path = self.dir + ".log"
        self.process = None
        self.environment = None  # of the daemon; None = as this process has it
        self.command_environment = None
        self.wrapper = []  # what the daemon is started under
        self.port = None
        options = ["--air-gapped"]
        if not air_gapped:
            self.port = port or free_port()
            options = ["--listen", f"{host}:{self.port}", "--url", url or f"https://{host}:{self.port}"]
        self.run("init", "--name", name, *options)
        self.card_path = os.path.join(self.dir, "card")
        self.certificate = os.path.join(self.dir, "tls.crt")
        with open(self.card_path, "rb") as file:
            self.card = file.read()
        self.fields = formats.card_parse(self.card)

    # ---- the process ------------------------------------------------------------------------------------------------

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, os.path.join(BUILD, "entented"), "--dir", self.dir],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )

        def answers():
            """the node answers on its socket"""
            if self.process.poll() is not None:
                raise AssertionError(f"entented ended with {self.process.returncode}:\n{self.log()}")
            return self.run("status", check=False).returncode == 0

        wait_for(answers)
        return self

    def stop(self):
        """SIGTERM: a clean stop."""
        if self.process is not None:
            self.process.terminate()
            code = self.process.wait(PATIENCE_S)
            self.process = None
            if code != 0:
                raise AssertionError(f"entented ended with {code}:\n{self.log()[-4000:]}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self.process = None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    # ---- the command line -------------------------------------------------------------------------------------------

    def run(self, *arguments, check=True, stdin=b""):
        command = [os.path.join(BUILD, "entente"), *arguments, "--dir", self.dir]
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            timeout=PATIENCE_S + 60,
            check=False,
            env=self.command_environment,
        )
        if check and done.returncode != 0:
            raise CliError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.decode()}")
        return done

    def text(self, *arguments, **more):
        return self.run(*arguments, **more).stdout.decode().strip()

    def json(self, *arguments, **more):
        return json.loads(self.run(*arguments, "--json", **more).stdout)

    def status(self):
        return self.json("status")

    def channel(self, channel):
        return self.json("channel", "show", channel)

    def member(self, channel, name):
        return next(member for member in self.channel(channel)["members"] if member["name"] == name)

    def held(self, channel):
        """(size, receipted by us, receipted by them, frozen) of every member's log: what a refused pouch must not move."""
        return {
            member["name"]: tuple(member[key] for key in ("size", "receipted_by_us", "receipted_by_them", "frozen"))
            for member in self.api("GET", f"/channels/{channel}")["members"]
        }

    def add_peer(self, card_path, fingerprint=None):
        more = ["--fingerprint", fingerprint] if fingerprint else []
        return self.run("peer", "add", card_path, *more)

    # ---- the socket -------------------------------------------------------------------------------------------------

    def api_bytes(self, method, path, body=b""):
        """What docs/api.md offers, where a test asks too often for a process each time."""
        connection = http.client.HTTPConnection("node", timeout=PATIENCE_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(PATIENCE_S)
        try:
            connection.sock.connect(os.path.join(self.dir, "socket"))
            connection.request(method, "/api/v1" + path, body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {content!r}")
        return content

    def api(self, method, path, body=b""):
        return json.loads(self.api_bytes(method, path, body))


