"""Collectors for traces.py: one that takes all, and those that nobody hopes to meet. They listen on a free port of 127.0.0.1
from the start of a `with` to its end.

    Dead        nobody listens                       Blackholed  nobody accepts
    Resetting   hangs up on whoever says something   Talking     takes OTLP over HTTP, and answers as it is told

Below HTTP the protocol does not matter, so those two can stand for gRPC too.
"""
import contextlib, socket, struct, threading, time
from http import HTTPStatus


def free_socket():
    """Bound, so that nobody else gets its port."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


class Dead:
    protocol = "grpc"

    def __init__(self):
        self.socket = free_socket()
        self.port = self.socket.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Blackholed(Dead):
    """Its queue of connections is full: the kernel says nothing to those who want another one."""

    def __enter__(self):
        self.socket.listen(0)
        self.waiting = [socket.socket() for _ in range(4)]
        for one in self.waiting:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(("127.0.0.1", self.port))
        time.sleep(0.1)
        with socket.socket() as probe, contextlib.suppress(TimeoutError):
            probe.settimeout(0.5)
            probe.connect(("127.0.0.1", self.port))
            raise SystemExit("a connection was made to what should be a black hole")
        return self

    def __exit__(self, *_):
        for one in self.waiting:
            one.close()
        super().__exit__()


class Listening(Dead):
    """A thread for each connection, which `converse` is given."""

    def __enter__(self):
        self.connections, self.lock = set(), threading.Lock()
        self.listen()
        return self

    def listen(self):
        self.socket.listen(16)
        threading.Thread(target=self.accept, args=(self.socket,), daemon=True).start()

    def accept(self, listener):
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = listener.accept()
                with self.lock:
                    self.connections.add(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, EOFError):
            self.converse(connection)
        with self.lock:
            self.connections.discard(connection)
        connection.close()

    def hang_up(self):
        """Nobody listens any more, and connections are cut."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *_):
        self.hang_up()


class Resetting(Listening):
    def converse(self, connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # the rest unread: a reset


class Talking(Listening):
    """`answer` is given the number of spans of a message, and gives a status, headers, a body, and how many of them it takes."""
    protocol = "http"

    def __init__(self, answer=lambda spans: (200, "", b"", spans)):
        super().__init__()
        self.answer, self.taken = answer, 0

    def converse(self, connection):
        with connection.makefile("rwb") as stream:
            while stream.readline():
                length = 0
                while (line := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                body = stream.read(length)
                if len(body) < length:
                    return
                status, headers, answer, taken = self.answer(count_spans(body))
                stream.write(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/x-protobuf\r\n"
                             f"content-length: {len(answer)}\r\n{headers}\r\n".encode() + answer)
                stream.flush()
                with self.lock:
                    self.taken += taken

    def away(self, after, seconds):
        """In `after` seconds it goes away for so many."""
        def errand():
            time.sleep(after)
            self.hang_up()
            time.sleep(seconds)
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", self.port))
            self.listen()

        threading.Thread(target=errand, daemon=True).start()


# What a talking one may answer.

def slow(spans):
    time.sleep(10)
    return 200, "", b"", spans


def throttled(_):
    return 429, "retry-after: 1\r\n", b"", 0


def garbage(_):
    return 200, "", b"\xff" * 40, 0


def partial(spans):
    """Half of them are refused, and it says so: ExportTraceServiceResponse.partial_success."""
    text = b"every other one is too old"
    inner = b"\x08" + varint(spans // 2) + b"\x12" + varint(len(text)) + text
    return 200, "", b"\x0a" + varint(len(inner)) + inner, spans - spans // 2


# As much of protobuf as that takes.

def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def parts(message, wanted):
    """The values of a repeated field, of a message that has only fields with a length."""
    def number(at):
        value, shift = 0, 0
        while True:
            value |= (message[at] & 127) << shift
            shift += 7
            at += 1
            if message[at - 1] < 128:
                return value, at

    at = 0
    while at < len(message):
        key, at = number(at)
        if key & 7 != 2:
            raise ValueError("a field without a length")
        length, at = number(at)
        if key >> 3 == wanted:
            yield message[at:at + length]
        at += length


def count_spans(message):
    """Of an ExportTraceServiceRequest: resource_spans, scope_spans, spans."""
    message = memoryview(message)
    return sum(1 for resource in parts(message, 1) for scope in parts(resource, 2) for _ in parts(scope, 2))
