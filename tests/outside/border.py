"""The border of the second implementation: a TLS client that carries pouches to a node, and a listener that a node's
courier finds. Both sides present self-signed certificates; what counts is the pin."""

import http.client
import http.server
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field

from cryptography import x509

from formats import Pouch
from peer import Answer, pin_of


class Border:
    """Requests to a node's peers listener, over one connection while it lasts."""

    def __init__(self, port, party=None, pin=None):
        self.port = port
        self.pin = pin
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        if party is not None:
            self.context.load_cert_chain(party.certificate)
        self.connection = None

    def socket(self, timeout=20):
        """A TLS connection whose server has the pinned certificate."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # headers and body are two writes
        try:
            wrapped = self.context.wrap_socket(plain)
        except BaseException:
            plain.close()
            raise
        certificate = x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True))
        assert self.pin is None or pin_of(certificate) == self.pin
        return wrapped

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def request(self, method, path, body=b"", headers=None):
        """One request; an idle connection that the node has closed is opened again, once."""
        for fresh in (False, True):
            try:
                if fresh or self.connection is None:
                    self.close()
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
                    self.connection.sock = self.socket()
                    fresh = True
                self.connection.request(method, path, body, headers or {})
                answer = self.connection.getresponse()
                content = answer.read()
                headers = {name.lower(): value for name, value in answer.getheaders()}
                return Answer(answer.status, headers.get("content-type", ""), content, headers)
            except (http.client.HTTPException, OSError):
                self.close()
                if fresh:
                    raise
        raise AssertionError("not reached")

    def post(self, pouch, like=None, **headers):
        """Hand over a pouch (parts, or bytes like those of another) under its own headers, or others; None leaves one out."""
        like = like or pouch
        said = {"Entente-Origin": like.origin, "Entente-Old-Size": str(like.old_size), "Entente-Size": str(like.size)}
        said.update({"Entente-" + name.replace("_", "-").title(): value for name, value in headers.items()})
        said = {name: value for name, value in said.items() if value is not None}
        body = pouch.encode() if isinstance(pouch, Pouch) else pouch
        return self.request("POST", "/pouch", body, {"Content-Type": "application/x-tar", **said})


@dataclass
class Request:
    """What came to our listener."""

    method: str
    path: str
    headers: dict
    body: bytes
    pin: str
    connection: object = field(repr=False, default=None)


class Listener:
    """A party's listener. `behaviour(request)` may stand in for the party: it gives an Answer, or None when it has dealt
    with the connection itself."""

    def __init__(self):
        self.party = None
        self.behaviour = None
        self.deaf = False  # closes connections before the handshake
        self.clock_ahead_s = 0  # what its Date headers say
        self.requests = []
        self.connections = 0
        self.open = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                listener.connections += 1
                if listener.deaf:
                    self.request.close()
                self.request = listener.context.wrap_socket(self.request, server_side=True)
                listener.open.append(self.request)
                super().setup()

            def finish(self):
                super().finish()
                self.request.close()  # the server closes only what was wrapped

            def log_message(self, *_):
                pass

            def date_time_string(self, timestamp=None):
                return super().date_time_string((timestamp or time.time()) + listener.clock_ahead_s)

            def take(self):
                size = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(size)
                if len(body) < size:  # the node broke off
                    self.close_connection = True
                    return
                certificate = x509.load_der_x509_certificate(self.connection.getpeercert(binary_form=True))
                request = Request(self.command, self.path, self.headers, body, pin_of(certificate), self.connection)
                listener.requests.append(request)
                answer = (listener.behaviour or listener.party.answer)(request)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.type)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_POST = do_PUT = do_GET = take  # noqa: N815 (the library's names)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # handshakes that fail and connections that break are part of the tests

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def present(self, certificate, certificates):
        """Show this certificate, and require one of the clients' (the nodes' own, in PEM files)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        for path in certificates:
            context.load_verify_locations(path)
        self.context = context

    def serve(self, party, certificates):
        self.party = party
        self.present(party.certificate, certificates)
        self.thread.start()
        return self

    def hang_up(self):
        """Break every connection that lasts."""
        while self.open:
            try:
                self.open.pop().shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # gone already

    def close(self):
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
        self.server.server_close()
