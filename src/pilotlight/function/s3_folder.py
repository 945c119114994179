"""A model in S3: the objects below s3://bucket/prefix, or the one of that name.

ListObjectsV2: docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html. What a model.json says of the files
beside it ("sha256") is their digest; an object that is replaced while it is read is told by its ETag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pilotlight.errors import (
    FetchError,
    FetchRefused,
    FetchUnreachable,
    InputError,
    InputTooLarge,
    ObjectError,
    ObjectRefused,
    ObjectUnreachable,
)
from pilotlight.function import s3
from pilotlight.function.download import Deadline, Download
from pilotlight.function.hub import checked
from pilotlight.function.transfer import CONNECT, MOST_FILES, WAIT, Again, Changed, File, Listing

PAGE = 1_000  # objects: the most that S3 lists at once
_LONGEST = 16 << 20  # bytes of one page of a listing
_CONTENTS = re.compile(r"<Contents>(.*?)</Contents>", re.DOTALL)
_ENTITY = re.compile(r"&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_KINDS = {ObjectRefused: FetchRefused, ObjectUnreachable: FetchUnreachable}
_NO_WAY = "is S3 reached from here? A VPC without NAT needs a gateway endpoint for S3, which costs nothing"


class Folder:
    """A `transfer.Source`."""

    def __init__(self, uri: str) -> None:
        self.was_reached = False
        self._doing = f"fetching {uri}"
        try:
            self._place = s3.parse(uri.rstrip("/"))
        except InputError as error:
            raise FetchError(f"{self._doing}: it {error}", "write s3://bucket/prefix") from None
        self._is_one = False

    def list(self) -> Listing:
        bucket, prefix = self._place
        found = [
            each for each in self._all(f"{prefix}/") if not each.name.endswith("/")
        ]  # consoles make such for folders
        files = [checked(self._doing, each._replace(name=each.name[len(prefix) + 1 :])) for each in found]
        if not files:
            name = prefix.rpartition("/")[2]
            first = next(self._all(prefix), None)  # the shortest of those that begin so comes first
            files = [first._replace(name=name)] if first and first.name == prefix else []
            if not files:
                hint = "correct the URI, or copy a model folder there: aws s3 cp --recursive models/qa s3://bucket/qa"
                raise FetchError(f"{self._doing}: the bucket {bucket} has nothing of that name", hint)
            self._is_one = True
            return Listing(_revision(files), tuple(files), name)
        return Listing(_revision(files), tuple(files))

    def _all(self, prefix: str) -> Iterator[File]:
        """All objects whose keys begin so."""
        token, count = "", 0
        while True:
            page = self._page(prefix, token)
            for each in _CONTENTS.findall(page):
                count += 1
                if count > MOST_FILES:
                    raise FetchError(
                        f"{self._doing}: there are more than {MOST_FILES} objects", "name a model's folder"
                    )
                yield self._file(each)
            token = _element("NextContinuationToken", page)
            if not token:
                return

    def _file(self, said: str) -> File:
        size = _element("Size", said)
        if not re.fullmatch("[0-9]{1,15}", size):
            raise FetchError(f"{self._doing}: S3 lists an object without a size", "is AWS_ENDPOINT_URL_S3 an S3?")
        return File(_element("Key", said), int(size), tag=_element("ETag", said))

    def _page(self, prefix: str, token: str) -> str:
        fields = {"continuation-token": token, "list-type": "2", "max-keys": str(PAGE), "prefix": prefix}
        query = "&".join(f"{name}={_quoted(value)}" for name, value in fields.items() if value)
        with self._get(s3.Object(self._place.bucket, ""), {}, query) as download:
            try:
                return download.read(_LONGEST).decode("utf-8", "replace")
            except OSError as error:
                raise self.failed(error) from None
            except InputTooLarge as error:
                raise FetchError(f"{self._doing}: the listing {error}") from None

    def open(self, file: File, start: int) -> Download:
        key = self._place.key if self._is_one else f"{self._place.key}/{file.name}"
        headers = {"If-Match": file.tag, **({"Range": f"bytes={start}-"} if start else {})}
        return self._get(self._place._replace(key=key), headers)

    def failed(self, error: OSError) -> Exception:
        reason = str(error) or "there was no answer in time"
        return Again(FetchUnreachable(f"{self._doing}: S3: {reason}", _NO_WAY))

    def _get(self, place: s3.Object, headers: dict[str, str], query: str = "") -> Download:
        try:
            download = s3.opened(place, Deadline(WAIT), headers, query, Deadline(CONNECT))
        except s3.Again as again:
            self.was_reached |= again.answered
            raise Again(self._error(place, again.problem)) from None
        except ObjectUnreachable as error:  # in time
            raise Again(self._error(place, error)) from None
        except ObjectError as error:
            raise self._error(place, error) from None
        except InputError as error:
            raise FetchError(f"{self._doing}: {place.key} {error}") from None
        except s3.Changed:
            raise Changed from None
        self.was_reached = True
        return download

    def _error(self, place: s3.Object, error: ObjectError) -> FetchError:
        kind = _KINDS.get(type(error), FetchError)
        hint = error.hint if self.was_reached or kind is not FetchUnreachable else _NO_WAY
        return kind(f"{self._doing}: {str(error).removeprefix(f'reading s3://{place.bucket}/{place.key}: ')}", hint)


def _revision(files: list[File]) -> str:
    """Of these objects: it changes when one of them does."""
    import hashlib

    text = "".join(f"{file.name}\0{file.size}\0{file.tag}\n" for file in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()


def _element(name: str, text: str) -> str:
    """The text of the first `<name>`."""
    return unescaped(text.partition(f"<{name}>")[2].partition(f"</{name}>")[0])


def unescaped(text: str) -> str:
    """Character data of XML."""
    return _ENTITY.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    if found[3]:
        return _NAMED[found[3]]
    number = int(found[1], 16) if found[1] else int(found[2])
    return chr(number) if number < 0x110000 else found[0]


def _quoted(text: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())
