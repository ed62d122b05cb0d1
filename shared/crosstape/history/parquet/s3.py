"""The files of a history in an S3 bucket: of AWS, or of a server that speaks S3 (MinIO, Ceph, R2 …)."""

from __future__ import annotations

import contextlib
import io
import re
import secrets
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

import obstore
import pyarrow as pa
import pyarrow.fs as pafs
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from crosstape.errors import HistoryError
from crosstape.history.parquet.folder import HIDDEN, Found

OWNER: Final = "crosstape-writer"
"""The entry of an object's metadata that says which call has written it."""
TIMEOUT_S: Final = 60.0
"""Longest wait for one request."""
RETRY_S: Final = 120.0
"""Longest time for a request with all its repetitions. Far below the hour for which a merged commit keeps its name."""
READ_AHEAD: Final = 1 << 20

_ROLE: Final = "169.254.169.254"
"""Where machines of AWS get the keys of their role; it is asked where the environment has none."""
_CODE: Final = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")


class S3Folder:
    """The objects of a bucket whose keys begin with a prefix."""

    def __init__(self, bucket: str, prefix: str = "", *, allow_http: bool = False, retry_s: float = RETRY_S) -> None:
        """Credentials, region and address come from the usual variables (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL` …), or from
        the machine's role. `allow_http`: the address may be one without TLS.
        """
        self._url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._has_conditions = False
        with _named(self._url):
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                client_options={"allow_http": allow_http, "timeout": timedelta(seconds=TIMEOUT_S)},
                retry_config={"retry_timeout": timedelta(seconds=retry_s)},
            )

    @property
    def url(self) -> str:
        """The bucket and the prefix."""
        return self._url

    @property
    def local_path(self) -> str:
        """Empty: it is not on the disk."""
        return ""

    def files(self, prefix: str = "") -> list[Found]:
        """See `Folder`. A bucket that does not exist is an error: it is not made here."""
        with _named(f"{self._url}/{prefix}"):
            found = [
                Found(meta["path"], meta["size"], int(meta["last_modified"].timestamp()) * 10**9)
                for batch in obstore.list(self._store, prefix.rstrip("/") or None)
                for meta in batch
            ]
        return sorted((one for one in found if not _is_hidden(one.name)), key=lambda one: one.name)

    def put(self, name: str, data: bytes) -> bool:
        """See `Folder`. An answer may be lost: then the request is made again, and the object says who has written it."""
        self._try_conditions()
        owner = secrets.token_hex(16)
        place = f"{self._url}/{name}"
        try:
            obstore.put(self._store, name, data, mode="create", use_multipart=False, attributes={OWNER: owner})
        except AlreadyExistsError:
            return self._owner(name) == owner
        except BaseError as exc:
            with contextlib.suppress(HistoryError, FileNotFoundError):
                if self._owner(name) == owner:
                    return True
            raise _error(place, exc) from None  # the cause has the request with its signature, and would be logged
        return True

    def copy(self, source: str, target: str) -> None:
        """See `Folder`."""
        with _named(f"{self._url}/{target}"):
            obstore.copy(self._store, source, target)

    def delete(self, names: Iterable[str]) -> None:
        """See `Folder`."""
        for name in names:
            with _named(f"{self._url}/{name}"), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, name)

    def read(self, name: str) -> bytes:
        """See `Folder`."""
        with _named(f"{self._url}/{name}"):
            return bytes(obstore.get(self._store, name).bytes())

    def leftovers(self) -> list[Found]:
        """See `Folder`. An object is there when all of it is."""
        return []

    def file_system(self) -> pafs.FileSystem:
        """See `Folder`."""
        return pafs.PyFileSystem(_Handler(self._store, self._url))

    def _try_conditions(self) -> None:
        """Find out before the first write whether the service refuses a name that is taken. Some take no notice of the condition, and would
        let one recorder overwrite another's commit.
        """
        if self._has_conditions:
            return
        name = f"{HIDDEN}probe-{secrets.token_hex(8)}"
        with _named(f"{self._url}/{name}"):
            try:
                for _ in range(2):
                    obstore.put(self._store, name, b"", mode="create", use_multipart=False)
            except AlreadyExistsError:
                self._has_conditions = True
            finally:
                obstore.delete(self._store, name)
        if not self._has_conditions:
            raise HistoryError(
                f"{self._url}: this service overwrites an object that is to be written only if it is new (If-None-Match: *): two recorders "
                "could lose events there; use another service, or a newer version of it"
            )

    def _owner(self, name: str) -> str | None:
        with _named(f"{self._url}/{name}"):
            return obstore.get(self._store, name, options={"range": (0, 1)}).attributes.get(OWNER)


class _Handler(pafs.FileSystemHandler):  # type: ignore[misc]
    """What pyarrow needs of a file system to read files by name."""

    def __init__(self, store: S3Store, url: str) -> None:
        self._store = store
        self._url = url

    def get_type_name(self) -> str:
        return "crosstape-s3"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        raise NotImplementedError("files are given by name, never searched")

    def open_input_file(self, path: str) -> pa.PythonFile:
        with _named(f"{self._url}/{path}"):
            size = obstore.head(self._store, path)["size"]
        return pa.PythonFile(_RangeFile(self._store, self._url, path, size), mode="r")

    open_input_stream = open_input_file

    def _info(self, path: str) -> pafs.FileInfo:
        try:
            with _named(f"{self._url}/{path}"):
                return pafs.FileInfo(path, pafs.FileType.File, size=obstore.head(self._store, path)["size"])
        except FileNotFoundError:
            return pafs.FileInfo(path, pafs.FileType.NotFound)

    def _is_read_only(self, *_: Any) -> None:
        raise NotImplementedError("the history is written by crosstape only")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = move = copy_file = _is_read_only
    open_output_stream = open_append_stream = _is_read_only


class _RangeFile(io.RawIOBase):
    """An object as a file: each read is one request for that part of it."""

    def __init__(self, store: S3Store, url: str, path: str, size: int) -> None:
        super().__init__()
        self._store, self._place, self._path, self._size = store, f"{url}/{path}", path, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        return self._size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._position + size, self._size)
        if end <= self._position:
            return b""
        with _named(self._place):
            data = bytes(obstore.get_range(self._store, self._path, start=self._position, end=end))
        self._position += len(data)
        return data


def _is_hidden(name: str) -> bool:
    return any(part.startswith(HIDDEN) for part in name.split("/"))


@contextlib.contextmanager
def _named(place: str) -> Iterator[None]:
    """Names the object in an error. One that is gone stays `FileNotFoundError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except BaseError as exc:
        raise _error(place, exc) from None  # the cause has the request with its signature, and would be logged


def _error(place: str, exc: Exception) -> HistoryError:
    """Return the error without what servers add to it: the request, and parts of its signature."""
    text = str(exc)
    code, message = _CODE.search(text), _MESSAGE.search(text)
    what = re.sub(r"\?\S*", "", text.partition("\n")[0])  # without the request's parameters
    if code:
        what = f"{code[1]}: {message[1]}" if message else code[1]
    hint = "; there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" if _ROLE in what else ""
    return HistoryError(f"{place}: the bucket cannot be used: {what:.300}{hint}")
