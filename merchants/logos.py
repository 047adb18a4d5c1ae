"""A merchant's logo: checked, and drawn again, so that only the image itself is kept of the uploaded file."""

import hashlib
import io

from PIL import Image, ImageOps, UnidentifiedImageError

MAX_UPLOAD = 1024 * 1024  # bytes
FORMATS = ("PNG", "JPEG", "WEBP")  # no SVG: it can contain scripts
MIN_SIDE, MAX_SIDE = 48, 4000  # pixels of the uploaded image
BOX = (320, 112)  # pixels that are stored: twice the size on the claim page
MAX_STORED = 12 * 1024  # bytes: the logo is part of the page


class NotALogo(ValueError):
    """Says what is wrong with the file, for the person who uploads it."""


def make_logo(upload: bytes) -> bytes:
    """The image of an uploaded file as a small WebP. Raises NotALogo."""
    if len(upload) > MAX_UPLOAD:
        raise NotALogo(f"The file has {len(upload) // 1024:,} KB; the maximum is {MAX_UPLOAD // 1024:,} KB.")
    try:
        with Image.open(io.BytesIO(upload), formats=FORMATS) as image:
            if max(image.size) > MAX_SIDE or min(image.size) < MIN_SIDE:
                width, height = image.size
                raise NotALogo(
                    f"The image is {width} by {height} pixels; each side must have {MIN_SIDE} to {MAX_SIDE}."
                )
            image.load()
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        raise NotALogo(f"The file is not a readable image. Use {', '.join(FORMATS)}.") from None
    upright.thumbnail(BOX, Image.Resampling.LANCZOS)
    for quality in (90, 75, 50, 25, 5):
        logo = io.BytesIO()
        upright.save(logo, "WEBP", quality=quality, method=6)
        if logo.tell() <= MAX_STORED:
            return logo.getvalue()
    raise NotALogo("The image has too much detail for a small logo.")


def fingerprint(image: bytes) -> str:
    """Eight hex digits that tell one logo from another in a history."""
    return hashlib.sha256(image).hexdigest()[:8]
