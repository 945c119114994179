"""What a URL of a client holds, fetched from public addresses alone, whatever URL, name servers and servers say.

    http(s)      ports 80 and 443; no user, no fragment in place of a path, nothing that parsers read differently
    resolved     once for each connection; every address has to be public, and one of these is connected to
    redirects    five, each checked as the first URL was; none from https to http
    answer       200, of one of the types, not compressed, within the size and the time

PILOTLIGHT_ALLOW_URLS, of the setting `[inputs] allow_urls`, names hosts with their ports that may be other than public.
Proxies of the environment are not asked: they would resolve the name again. Cookies and credentials are not sent.
Grammar: RFC 3986 without what it allows and a fetch of a picture does not need.
"""

import os
import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from pilotlight import __version__
from pilotlight.errors import FunctionError, InputError
from pilotlight.function.addresses import is_public
from pilotlight.function.download import Deadline, Download, NotHttp, Place
from pilotlight.function.http1 import Endpoint

if TYPE_CHECKING:
    from ssl import SSLContext

VARIABLE = "PILOTLIGHT_ALLOW_URLS"  # HOST:PORT, one after the other, with commas between them

PORTS = (80, 443)
_LONGEST = 8_192  # characters of a URL
_REDIRECTS = 5
_REDIRECTED = (301, 302, 303, 307, 308)

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # url.spec.whatwg.org, "ends in a number": inet_aton reads such hosts
# RFC 3986, 3.3 and 3.4: what a path and a query may have
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?%")
_NOT_PUBLIC = (  # names, and those below them; what they resolve to would be checked as well
    # iana.org/assignments/special-use-domain-names, and internal, which ICANN reserved in 2024
    *("alt", "example", "home.arpa", "internal", "invalid", "local", "localhost", "onion", "test"),
    *("corp", "home", "intranet", "lan", "localdomain", "private"),  # what private networks use
    *("metadata.packet.net", "metadata.platformequinix.com", "metadata.tencentyun.com"),
)

_REFUSED = "must be a public http or https address"
_UNKNOWN = f"{_REFUSED}: its host has none"  # also where there is one inside: what names exist there is not to be told

Resolve = Callable[[str, int, float], list[Place]]


class Refused(InputError):
    """The address, or one that it redirects to, is none that may be fetched."""


def fetch(
    url: str, *, most: int, seconds: float, types: tuple[str, ...] = ("image/",), resolve: Resolve | None = None
) -> tuple[bytes, str]:
    """What `url` holds, and its content type in lower case without parameters.

    `most` is in bytes; `seconds` are for all of it, redirects included; `types` are beginnings of content types.
    `resolve` takes the place of the system's name servers. Raises `Refused`, `errors.InputTooLarge` for more than
    `most` bytes, and `errors.InputError` for what went wrong on the way; none names an address.
    """
    deadline, target = Deadline(seconds), parse(url)
    accepted = ", ".join(f"{name}*" if name.endswith("/") else name for name in types)
    headers = {"User-Agent": f"pilotlight/{__version__}", "Accept": accepted, "Accept-Encoding": "identity"}
    for _ in range(1 + _REDIRECTS):
        try:
            places = places_of(target, deadline, resolve or _of_system)
            with Download(target, places, headers, deadline, _tls() if target.is_secure else None) as download:
                if download.status not in _REDIRECTED or "location" not in download.headers:
                    return _content(download, most, types)
                target = redirected(target, download.headers["location"])
        except OSError as error:
            raise InputError(_what_failed(error, seconds)) from None
    raise Refused(f"redirects more than {_REDIRECTS} times")


def parse(url: str) -> Endpoint:
    """Where to connect and what to ask for; `path` has the query. Raises `Refused`."""
    scheme, separator, rest = url.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    found, path = _AUTHORITY.fullmatch(authority), rest[len(authority) :]
    is_http = scheme.lower() in ("http", "https") and separator
    if not is_http or found is None or _is_odd(url) or path.startswith("#"):  # http://a#@b/ is b to some
        raise Refused(_REFUSED)
    is_secure = scheme.lower() == "https"
    port = int(found[2] or (443 if is_secure else 80))
    return Endpoint(_host(found[1].lower()), port, _path(path.partition("#")[0]), is_secure)


def _is_odd(url: str) -> bool:
    """Whether it is too long, or has what some drop and some take for another character."""
    return len(url) > _LONGEST or any(character <= " " or character in "\\\x7f" for character in url)


def places_of(target: Endpoint, deadline: Deadline, resolve: Resolve) -> list[Place]:
    """The addresses of the target, every one of them public, or allowed by the settings. Raises `Refused`, OSError."""
    is_allowed = (target.host, target.port) in allowed(os.environ.get(VARIABLE, ""))
    is_literal = _is_literal(target.host)
    if not is_allowed and (target.port not in PORTS or not (is_literal or _is_public_name(target.host))):
        raise Refused(_REFUSED)
    places = [_place(target)] if is_literal else resolve(target.host, target.port, deadline.left())
    if not places:
        raise Refused(_UNKNOWN)
    if not is_allowed and not all(is_public(str(place.address[0])) for place in places):
        raise Refused(_REFUSED if is_literal else _UNKNOWN)
    return places


def _host(host: str) -> str:
    """`host` in the one form that this and every resolver read alike. Raises `Refused`."""
    if host.startswith("["):
        return _canonical(socket.AF_INET6, host[1:-1])
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        if _canonical(socket.AF_INET, host) != host:  # inet_pton of some systems takes leading zeros
            raise Refused(_REFUSED)
        return host
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused(_REFUSED)
    return host


def _canonical(family: int, address: str) -> str:
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, address))
    except OSError:
        raise Refused(_REFUSED) from None


def _is_literal(host: str) -> bool:
    return ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _is_public_name(host: str) -> bool:
    """A name without a dot is one of this network: `redis`, `metadata`, `instance-data`."""
    return "." in host and not any(f".{host}".endswith(f".{name}") for name in _NOT_PUBLIC)


def _path(path: str) -> str:
    """Path and query as they are sent, which is what browsers make of them."""
    encoded = "".join(c if c in _PLAIN else "".join(f"%{byte:02X}" for byte in _utf8(c)) for c in path)
    return encoded if encoded.startswith("/") else f"/{encoded}"


def _utf8(character: str) -> bytes:
    return character.encode("utf-8", "replace")  # replace: half of a surrogate pair


def allowed(written: str) -> set[tuple[str, int]]:
    """Hosts and ports of what the variable says. Raises `errors.FunctionError`."""
    return {_host_and_port(each.strip()) for each in written.split(",") if each.strip()}


def _host_and_port(written: str) -> tuple[str, int]:
    found = _AUTHORITY.fullmatch(written)
    try:
        if found is not None and found[2] and int(found[2]) < 65_536:
            return _host(found[1].lower()), int(found[2])
    except Refused:
        pass
    raise FunctionError(f"{VARIABLE}: {written!r} is not HOST:PORT", "name a host and its port, as in images.lan:8080")


def _place(target: Endpoint) -> Place:
    if ":" in target.host:
        return Place(socket.AF_INET6, (target.host, target.port, 0, 0))
    return Place(socket.AF_INET, (target.host, target.port))


def _of_system(host: str, port: int, seconds: float) -> list[Place]:
    """Of the system's name servers, within `seconds`. Raises TimeoutError; a name that there is not has no place.

    getaddrinfo itself knows no limit of time: it goes on in a thread of its own, as long as /etc/resolv.conf has it.
    """
    from threading import Thread

    found: list[list[Place]] = []

    def ask() -> None:
        try:
            # bytes: a text would be put through IDNA 2003, which makes other names of some
            answers = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
        except OSError:
            answers = []
        found.append([Place(family, address) for family, _, _, _, address in answers])

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError
    return found[0]


def redirected(target: Endpoint, location: str) -> Endpoint:
    """Where a redirect leads to. Raises `Refused`."""
    text = location.encode("latin-1").decode("utf-8", "replace")
    if _is_odd(text):  # of which urljoin drops some
        raise Refused(_REFUSED)
    following = parse(_joined(target, text))
    if target.is_secure and not following.is_secure:
        raise Refused("redirects from https to http")
    return following


def _joined(target: Endpoint, reference: str) -> str:
    """RFC 3986, 5.2. urljoin would give `http:///a` the host of `target`; others read the host a."""
    scheme = "https" if target.is_secure else "http"
    if re.match("[A-Za-z][A-Za-z0-9+.-]*:", reference):
        return reference
    if reference.startswith("//"):
        return f"{scheme}:{reference}"
    from urllib.parse import urljoin

    return urljoin(f"{scheme}://{target.authority}{target.path}", reference)


def _content(download: Download, most: int, types: tuple[str, ...]) -> tuple[bytes, str]:
    if download.status != 200:
        raise InputError(f"cannot be fetched: its server answered {download.status}")
    kind = download.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith(types):
        wanted = " or ".join(f"{name}*" if name.endswith("/") else name for name in types)
        raise InputError(f"holds {_shown(kind) or 'something without a type'}, not {wanted}")
    if download.headers.get("content-encoding", "identity").lower() != "identity":  # small as it comes, and then not
        raise InputError("cannot be fetched: its server sends it compressed")
    return download.read(most), kind


def _shown(kind: str) -> str:
    return "".join(c if c in _PLAIN else "?" for c in kind[:60])


def _what_failed(error: OSError, seconds: float) -> str:
    match error:
        case TimeoutError():
            return f"cannot be fetched: it took longer than {seconds:g} s"
        case NotHttp():
            return "cannot be fetched: its server does not speak HTTP/1.1"
        case ValueError():  # ssl.SSLCertVerificationError, the one that is both
            return "cannot be fetched: its certificate is not valid"
    return "cannot be fetched: the connection failed"


_contexts: "list[SSLContext]" = []


def _tls() -> "SSLContext":
    """One for the process: to read the certificates of the authorities takes 10 ms. SSL_CERT_FILE names others."""
    if not _contexts:
        import ssl

        _contexts.append(ssl.create_default_context())
    return _contexts[0]
