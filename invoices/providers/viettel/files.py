"""The XML inside the vendor's ZIP, which is sometimes a ZIP in a ZIP, beside a style sheet."""

import io
import zipfile

from invoices.providers.base import Unavailable

LARGEST = 20 << 20  # bytes of one unpacked file; a larger one is a trap or a mistake
DEPTH = 3


def xml_in(archive: bytes) -> bytes:
    """The invoice's XML, byte for byte as signed. Unavailable where there is none (yet)."""
    try:
        found = _search(archive, DEPTH)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise Unavailable("file_unreadable", f"the ZIP cannot be read: {type(error).__name__}") from None
    if not found:
        raise Unavailable("file_not_ready", "the ZIP holds no XML")
    return found


def _search(archive: bytes, depth: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        for entry in bundle.infolist():
            if entry.file_size > LARGEST:
                continue
            name = entry.filename.lower()
            if name.endswith(".xml"):
                content = bundle.read(entry)
                if b"<DLHDon" in content:
                    return content
            elif name.endswith(".zip") and depth > 1 and (content := _search(bundle.read(entry), depth - 1)):
                return content
    return b""
