"""A merchant's logo: which files are accepted, what is stored, and its history."""

import io
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from merchants import logos
from merchants.models import Logo, Merchant
from tests import cast

pytestmark = pytest.mark.django_db


def picture(kind: str = "PNG", size: tuple[int, int] = (600, 300), **more: Any) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(file, kind, **more)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_only_the_image_of_a_file_is_stored_and_it_is_small(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    upload = picture(kind, exif=exif) + b"<script>alert(1)</script>"
    stored = logos.make_logo(upload)
    assert len(stored) <= logos.MAX_STORED
    assert b"taken at home" in upload and b"taken at home" not in stored and b"<script>" not in stored
    with Image.open(io.BytesIO(stored)) as image:
        assert (image.format, image.size) == ("WEBP", (224, 112))


@pytest.mark.parametrize(
    ("upload", "why"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "not a readable image"),
        (picture("GIF"), "not a readable image"),
        (picture()[:2000], "not a readable image"),
        (b"", "not a readable image"),
        (picture(size=(20, 300)), "20 by 300 pixels; each side must have 48 to 4000"),
        (picture("JPEG", size=(4001, 60)), "4001 by 60 pixels"),
        (b"x" * (logos.MAX_UPLOAD + 1), "the maximum is 1,024 KB"),
    ],
)
def test_any_other_file_is_refused_with_the_reason(upload: bytes, why: str) -> None:
    with pytest.raises(logos.NotALogo, match=why):
        logos.make_logo(upload)


@pytest.fixture
def console(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("thu", password="x"))
    return client


def save(console: Client, merchant: Merchant, **more: Any) -> Any:
    form = {
        "name": merchant.name,
        "is_active": "on",
        "claim_window": 120,
        "unclaimed": "consumer",
        "reason": "requested",
    }
    return console.post(f"/admin/merchants/merchant/{merchant.pk}/change/", form | more)


def test_the_console_stores_shows_replaces_and_removes_a_logo(console: Client) -> None:
    merchant = cast.seller()
    save(console, merchant, logo=SimpleUploadedFile("a.png", picture()))
    first = Logo.objects.get(merchant=merchant)
    assert first.data_url in console.get(f"/admin/merchants/merchant/{merchant.pk}/change/").content.decode()
    save(console, merchant)
    assert bytes(Logo.objects.get().image) == bytes(first.image), "without a file it stays"
    save(console, merchant, logo=SimpleUploadedFile("b.png", picture(size=(300, 300))))
    assert bytes(Logo.objects.get().image) != bytes(first.image)
    save(console, merchant, no_logo="on")
    assert not Logo.objects.exists()
    fingerprints = [row.logo_fingerprint for row in merchant.history.order_by("history_id")]
    assert fingerprints[-1] == "" and len(set(fingerprints)) == 3, "the history tells the logos apart"


def test_a_file_that_is_not_a_logo_changes_nothing(console: Client) -> None:
    merchant = cast.seller()
    answer = save(console, merchant, name="Other", logo=SimpleUploadedFile("a.svg", b"<svg/>"))
    assert "not a readable image" in answer.content.decode()
    merchant.refresh_from_db()
    assert merchant.name != "Other" and not Logo.objects.exists()


def test_a_user_who_may_only_view_sees_the_logo(client: Client) -> None:
    merchant = cast.seller()
    logo = Logo.objects.create(merchant=merchant, image=b"RIFF")
    reader = User.objects.create_user("lan", password="x", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_merchant"))
    client.force_login(reader)
    text = client.get(f"/admin/merchants/merchant/{merchant.pk}/change/").content.decode()
    assert logo.data_url in text and 'type="file"' not in text
