"""A name server over UDP that answers as its test says, and another time with something else: RFC 1035, and no more."""

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

_A, _AAAA, _IN = 1, 28, 1
_RESPONSE, _NO_SUCH_NAME, _FAILED = 0x8180, 3, 2

Zone = Mapping[str, Sequence[Sequence[str]]]


class NameServer:
    """Answers the n-th question for a name with the n-th list of its addresses, and with the last one from then on.

    A list that is empty is no address, one that holds "" is no answer at all, and a name that is not in the zone does
    not exist. `asked` counts the questions for IPv4 addresses.
    """

    def __init__(self, zone: Zone, host: str = "127.0.0.1", port: int = 0) -> None:
        self._zone = zone
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._rounds: Counter[tuple[str, int]] = Counter()
        self.asked: Counter[str] = Counter()
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as end:
            end.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(4_096)
            if not question:
                return
            answer = self._answer(question)
            if answer is not None:
                self._socket.sendto(answer, client)

    def _answer(self, question: bytes) -> bytes | None:
        name, end = _name(question, 12)
        kind = struct.unpack_from(">H", question, end)[0]
        if name not in self._zone:
            return _message(question[: end + 4], [], _NO_SUCH_NAME)
        if kind == _A:
            self.asked[name] += 1
        rounds = self._zone[name]
        addresses = rounds[min(self._rounds[name, kind], len(rounds) - 1)]
        self._rounds[name, kind] += 1
        if "" in addresses:
            return None
        family = {_A: socket.AF_INET, _AAAA: socket.AF_INET6}.get(kind)
        packed = [socket.inet_pton(family, each) for each in addresses if family and (":" in each) == (kind == _AAAA)]
        return _message(question[: end + 4], [(kind, each) for each in packed])


def _name(message: bytes, at: int) -> tuple[str, int]:
    labels = []
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1


def _message(question: bytes, records: list[tuple[int, bytes]], code: int = 0) -> bytes:
    head = question[:2] + struct.pack(">HHHHH", _RESPONSE | code, 1, len(records), 0, 0)
    answers = (struct.pack(">HHHIH", 0xC00C, kind, _IN, 0, len(data)) + data for kind, data in records)
    return head + question[12:] + b"".join(answers)


def ask(port: int, name: str) -> list[str]:
    """The IPv4 addresses of `name`, asked of the server on this machine."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", _A, _IN)
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as connection:
        connection.settimeout(30)
        connection.sendto(question, ("127.0.0.1", port))
        answer = connection.recv(4_096)
    count = struct.unpack_from(">H", answer, 6)[0]
    return [socket.inet_ntoa(answer[len(question) + 16 * n + 12 :][:4]) for n in range(count)]


@contextlib.contextmanager
def naming(zone: Zone) -> Iterator[NameServer]:
    server = NameServer(zone)
    try:
        yield server
    finally:
        server.close()
