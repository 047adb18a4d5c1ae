"""A document, an account, and a server with scripted answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from config.base.clock import today_vn
from invoices.providers import build_provider
from invoices.providers.base import Account, Buyer, Document, Found, Line, Provider, ProviderError, RateTotal, Seller
from invoices.providers.http import Http

SAMPLES = Path(__file__).parents[3] / "fixtures/wire/viettel"
TAX_CODE = "0319999996"
TENANT = {
    "taxCode": TAX_CODE,
    "password": "mật-khẩu-mẫu",
    "name": "Công ty TNHH Bánh Mì Ậm Ừ",
    "series": [{"template": "1/001", "symbol": "C26TAA"}, {"template": "2/001", "symbol": "C26TBB"}],
}
REFERENCE = "6f1c1f0a-3b57-5d0e-9d0a-000000000001"
T = TypeVar("T")


def reference(number: int) -> str:
    return f"6f1c1f0a-3b57-5d0e-9d0a-{number:012d}"


def document(**changes: Any) -> Document:
    """Bánh mì at 8 % and coffee at 10 %, for a person in Hà Nội, dated today."""
    return replace(
        Document(
            reference=REFERENCE,
            kind="original",
            form="1",
            symbol="C26TAA",
            template="1/001",
            issue_date=today_vn(),
            payment_method="CK",
            seller=Seller(tax_code=TAX_CODE, legal_name="Công ty TNHH Bánh Mì Ậm Ừ", address="Hà Nội"),
            buyer=Buyer(name="Nguyễn Thị Hậu", address="12 phố Huế, phường Hai Bà Trưng, Hà Nội"),
            lines=(
                Line(
                    name="Bánh mì “đặc biệt”",
                    unit="cái",
                    quantity="3",
                    unit_price="33333.333333",
                    vat_rate="8%",
                    net=100000,
                    vat=8000,
                    gross=108000,
                ),
                Line(
                    name="Cà phê sữa đá",
                    unit="",
                    quantity="0.5",
                    unit_price="40000",
                    vat_rate="10%",
                    net=20000,
                    vat=2000,
                    gross=22000,
                ),
            ),
            by_rate=(RateTotal(vat_rate="8%", net=100000, vat=8000), RateTotal(vat_rate="10%", net=20000, vat=2000)),
            net=120000,
            vat=10000,
            total=130000,
            in_words="Một trăm ba mươi nghìn đồng",
        ),
        **changes,
    )


def account(url: str, **changes: Any) -> Account:
    return replace(
        Account(
            id=1,
            base_url=url,
            tax_code=TAX_CODE,
            form="1",
            symbol="C26TAA",
            template="1/001",
            credentials={"username": TAX_CODE, "password": "mật-khẩu-mẫu"},
        ),
        **changes,
    )


@asynccontextmanager
async def viettel(url: str, *, limits: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Provider]:
    async with Http() as http:
        yield build_provider("viettel", account(url, **changes), http, **limits or {})


async def failure(provider: Provider, sent: Document) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await provider.issue(sent)
    return caught.value


async def found(provider: Provider, reference: str = REFERENCE) -> Found:
    """Look up until the invoice is found."""
    while True:
        if invoice := await provider.find(reference):
            return invoice
        await asyncio.sleep(0.02)


async def refusal(server: "Scripted") -> ProviderError:
    """The error that issuing ends with at this server."""
    async with viettel(server.url) as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.issue(document())
    return caught.value


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of its own, for a minute at most."""
    return asyncio.run(asyncio.wait_for(test, 60))


def sample(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def http(body: Any, status: int = 200, headers: str = "") -> bytes:
    """An HTTP answer as bytes. A str or bytes body is sent as it is."""
    text = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n{headers}\r\n".encode() + text


def answer_of(name: str) -> bytes:
    answer = sample(name)["answer"]
    return http(answer["body"], answer["status"])


LOGIN = http({"access_token": "vé-mẫu".encode().hex(), "token_type": "bearer", "expires_in": 298})


class Scripted:
    """A server that gives each request the next answer: bytes to send, None to cut the connection, or an Event to
    await before cutting it. A login gets LOGIN, or the next of `logins`."""

    def __init__(self, *answers: bytes | None | asyncio.Event, logins: list[bytes] | None = None) -> None:
        self.answers, self.logins = list(answers), logins
        self.requests: list[bytes] = []
        self.login_count = 0
        self.connected = asyncio.Event()
        self.arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected.set()
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                request = head + await reader.readexactly(length)
                if b"/auth/login" in head:
                    self.login_count += 1
                    answer: bytes | None | asyncio.Event = self.logins.pop(0) if self.logins else LOGIN
                else:
                    self.requests.append(request)
                    self.arrived.set()
                    answer = self.answers.pop(0)
                if isinstance(answer, asyncio.Event):
                    await answer.wait()
                if not isinstance(answer, bytes):
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.transport.abort()
