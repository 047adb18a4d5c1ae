"""A merchant's logo: looked at, and drawn anew, so that nothing of the uploaded file but its picture is kept."""

import hashlib
import io

from PIL import Image, ImageOps, UnidentifiedImageError

LARGEST = 1024 * 1024  # bytes that are uploaded
FORMATS = ("PNG", "JPEG", "WEBP")  # an SVG is a program
SMALLEST_SIDE, LONGEST_SIDE = 48, 4000  # pixels of what is uploaded
BOX = (320, 112)  # pixels that are kept: twice what the claim page shows
KEPT = 12 * 1024  # bytes that are kept: the page brings them along


class NotALogo(ValueError):
    """What is wrong with the file, for whoever uploads it."""


def draw(upload: bytes) -> bytes:
    """The picture of an uploaded file as a small WebP. Raises NotALogo."""
    if len(upload) > LARGEST:
        raise NotALogo(f"The file has {len(upload) // 1024:,} KB; at most {LARGEST // 1024:,} KB are taken.")
    try:
        with Image.open(io.BytesIO(upload), formats=FORMATS) as picture:
            if max(picture.size) > LONGEST_SIDE or min(picture.size) < SMALLEST_SIDE:
                width, height = picture.size
                raise NotALogo(
                    f"The picture is {width} by {height} pixels; each side must have {SMALLEST_SIDE} to {LONGEST_SIDE}."
                )
            picture.load()
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        raise NotALogo(f"The file is no picture that can be read; take {', '.join(FORMATS)}.") from None
    upright.thumbnail(BOX, Image.Resampling.LANCZOS)
    for quality in (90, 75, 50, 25, 5):
        drawn = io.BytesIO()
        upright.save(drawn, "WEBP", quality=quality, method=6)
        if drawn.tell() <= KEPT:
            return drawn.getvalue()
    raise NotALogo("The picture is too busy for a small logo.")


def mark(image: bytes) -> str:
    """Eight hex digits by which a history tells one logo from another."""
    return hashlib.sha256(image).hexdigest()[:8]
