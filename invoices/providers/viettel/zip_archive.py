"""Unzip the vendor's archive: the XML is beside a style sheet, sometimes in a ZIP inside the ZIP."""

import io
import zipfile

from invoices.providers.base import Unavailable

MAX_FILE_BYTES = 20 << 20  # unpacked; a larger file is a ZIP bomb or a mistake
MAX_DEPTH = 3


def extract_xml(archive: bytes) -> bytes:
    """The invoice's XML, byte for byte as signed. Raises Unavailable if there is none, or not yet."""
    try:
        xml = _find_xml(archive, MAX_DEPTH)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise Unavailable("file_unreadable", f"the ZIP cannot be read: {type(error).__name__}") from None
    if not xml:
        raise Unavailable("file_not_ready", "the ZIP contains no XML")
    return xml


def _find_xml(archive: bytes, depth: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        for entry in bundle.infolist():
            if entry.file_size > MAX_FILE_BYTES:
                continue
            name = entry.filename.lower()
            if name.endswith(".xml"):
                content = bundle.read(entry)
                if b"<DLHDon" in content:
                    return content
            elif name.endswith(".zip") and depth > 1 and (content := _find_xml(bundle.read(entry), depth - 1)):
                return content
    return b""
