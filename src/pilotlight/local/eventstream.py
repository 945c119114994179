"""The encoding of events that the AWS SDKs read: application/vnd.amazon.eventstream.

    length of all | length of the headers | CRC of these two | headers | payload | CRC of all before

Numbers are big-endian. Source: smithy.io/2.0/aws/amazon-eventstream.html.
"""

import struct
from binascii import crc32

MEDIA_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7  # the type of a header's value
_FRAME = 16  # bytes: two lengths and two checksums


def message(event: str, content_type: str, payload: bytes) -> bytes:
    """One event as bytes."""
    fields = {":message-type": "event", ":event-type": event, ":content-type": content_type}
    headers = b"".join(_header(name.encode(), value.encode()) for name, value in fields.items())
    lengths = struct.pack("!II", _FRAME + len(headers) + len(payload), len(headers))
    checked = b"".join((lengths, struct.pack("!I", crc32(lengths)), headers, payload))
    return checked + struct.pack("!I", crc32(checked))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING, len(value)) + value
