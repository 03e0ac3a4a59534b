"""Where alerts arrive: a real SMTP server (aiosmtpd), a web server, and programs."""

import email
import email.policy
import hashlib
import hmac
import http.server
import json
import os
import re
import ssl
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from node import free_port


class MailServer:
    """Listens on one port, may go down and come back."""

    def __init__(self, port=None, tls=None, implicit=False, login=None):
        self.port = port or free_port()
        self.messages = []  # email.message.EmailMessage, with .recipients
        self.refuse = {}  # recipient -> answer
        self.refuse_data = None
        self.secure = []  # whether each came over TLS
        self.tls, self.implicit, self.login = tls, implicit, login
        self.controller = None

    def start(self):
        options = {}
        if self.login:
            options |= {"auth_required": True, "authenticator": self.authenticate}
        if self.tls and self.implicit:
            options |= {"ssl_context": self.tls, "auth_require_tls": False}  # it is inside TLS already
        elif self.tls:
            options |= {"tls_context": self.tls}
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self.controller.start()
        return self

    def stop(self):
        if self.controller:
            self.controller.stop()
            self.controller = None

    def authenticate(self, _server, _session, _envelope, _mechanism, data):
        good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self.login
        return AuthResult(success=good, handled=good)

    # ---- what aiosmtpd calls ----------------------------------------------------------------------------------------

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, session, envelope):
        if self.refuse_data:
            return self.refuse_data
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        message.recipients, message.sender = envelope.rcpt_tos, envelope.mail_from
        message.raw = envelope.content
        self.secure.append(session.ssl is not None or self.implicit)
        self.messages.append(message)
        return "250 taken"

    # ---- for tests --------------------------------------------------------------------------------------------------

    def about(self, what):
        """Messages whose text names this."""
        pattern = re.compile(re.escape(what) + r"(?!\d)")
        return [message for message in self.messages if pattern.search(message.get_content())]


def server_context(pem):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


class WebServer:
    """Keeps what is posted; answers what `answers` says, then 204."""

    def __init__(self, secret=None):
        self.secret, self.posts, self.answers, self.bad = secret, [], [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.take(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=b"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if self.secret:
            wanted = "sha256=" + hmac.new(self.secret, body, hashlib.sha256).hexdigest()
            if not hmac.compare_digest(request.headers["Entente-Signature"] or "", wanted):
                self.bad.append(request.headers["Entente-Signature"])
        elif request.headers["Entente-Signature"]:
            self.bad.append("signed without a secret")
        if request.path != "/hook?a=b" or request.headers["Content-Type"] != "application/json":
            self.bad.append((request.path, request.headers["Content-Type"]))
        status, headers, content = self.answers.pop(0) if self.answers else (204, {}, b"")
        self.posts.append((status, json.loads(body)))
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        try:
            request.wfile.write(content)
        except OSError:
            pass  # the node has read enough

    def taken(self, what):
        """Alerts of a sort that were answered 2xx."""
        return [alert for status, alert in self.posts if status < 300 and alert["what"] == what]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Program:
    """A program that keeps each alert it is given as a file of its own; `fail(n)` makes the next n runs fail."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "program")
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, "run")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(
                "#!/bin/sh\n"
                f"cd {self.folder} || exit 9\n"
                "if [ -s failures ]; then sed -i 1d failures; echo the pager is dead >&2; exit 3; fi\n"
                'echo "$ENTENTE_ALERT" >>words\n'
                "ls /proc/self/fd >descriptors\n"
                "cat >$$.part && mv $$.part $$.json\n"
            )
        os.chmod(self.path, 0o755)

    def fail(self, times):
        with open(os.path.join(self.folder, "failures"), "w", encoding="utf-8") as file:
            file.write("x\n" * times)

    def taken(self, what):
        alerts = []
        for name in os.listdir(self.folder):
            if name.endswith(".json"):
                with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                    alerts.append(json.load(file))
        return [alert for alert in alerts if alert["what"] == what]

    def descriptors(self):
        with open(os.path.join(self.folder, "descriptors"), encoding="utf-8") as file:
            return file.read().split()
