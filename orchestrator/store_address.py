"""Addresses of stores that are not local folders: which file system they mean, and that no password is in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainables.errors import UserError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_SECRET = re.compile(r"secret|password|token|key", re.IGNORECASE)


def refuse_secrets(uri: str) -> None:
    """A URI is printed, logged and written into documents, so no password may be in it.

    Raises:
        UserError: There is one; it is not repeated.
    """
    scheme, _, rest = uri.partition("://")
    user, mark, behind = rest.rpartition("@")  # of the whole of it: what is no letter may be in a password
    place, _, query = behind.partition("?")
    named = [part.partition("=")[0] for part in query.split("&")]
    if (mark and (":" in user or "/" not in user) and user != "anonymous") or any(map(_SECRET.search, named)):
        shown = place.strip("/") or "..."
        raise UserError(
            f"store {scheme}://{shown}: there are credentials in the address, which is written into logs and results; leave them "
            f"out and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE, or your cloud's own variables) instead"
        )


def open_address(uri: str) -> tuple[FileSystem, str]:
    """The file system of a URI, pyarrow's own or one of fsspec's, and the path there.

    Raises:
        UserError: There is none, or it cannot be opened.
    """
    import pyarrow
    from pyarrow import fs

    try:
        return fs.FileSystem.from_uri(uri)
    except OSError as error:
        raise UserError(f"store {uri!r} cannot be opened: {error}") from error
    except pyarrow.ArrowInvalid as error:
        import fsspec

        scheme = uri.partition("://")[0]
        if scheme in ("s3", "gs", "gcs"):  # pyarrow's own
            raise UserError(f"store {uri!r} cannot be opened: {error}") from error
        if scheme not in fsspec.available_protocols():
            raise UserError(f"store {uri!r}: no file system for {scheme!r}; give a folder, s3://..., gs://...") from error
        filesystem, path = fsspec.core.url_to_fs(uri)
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path
