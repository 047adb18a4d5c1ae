"""The simulated vendor's PDF and XML."""

import io
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from pypdf import PdfReader

from config.base.clock import today_vn
from invoices.dev.simulator import Simulator
from invoices.providers.base import (
    Document,
    Files,
    Line,
    Provider,
    Related,
    Unavailable,
)
from tests.invoices.providers.wire import TAX_CODE, document, found, reference, run, viettel

SALES: dict[str, Any] = {"form": "2", "template": "2/001", "symbol": "C26TBB"}


async def issue_and_fetch(provider: Provider, sent: Document) -> tuple[Files, Xml.Element]:
    await provider.issue(sent)
    files = await provider.files(await found(provider, sent.reference))
    return files, Xml.fromstring(files.xml)


def test_the_pdf_has_the_invoices_text_with_the_buyers_name(simulator: Simulator) -> None:
    lines = document().lines * 40
    rates = tuple(replace(rate, net=rate.net * 40, vat=rate.vat * 40) for rate in document().by_rate)
    long = document(lines=lines, by_rate=rates, net=120000 * 40, vat=10000 * 40, total=130000 * 40)

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            files, _ = await issue_and_fetch(provider, long)
            reader = PdfReader(io.BytesIO(files.pdf))
            text = "\n".join(page.extract_text() for page in reader.pages)
            assert len(reader.pages) > 1
            for words in (
                "Nguyễn Thị Hậu",
                "Bánh mì “đặc biệt”",
                "5.200.000 đ",
                "phường Hai Bà Trưng",
                "HÓA ĐƠN GIÁ TRỊ",
            ):
                assert words in text

    run(journey())


def test_the_xml_adds_up_and_matches_the_document(simulator: Simulator) -> None:
    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            for number in range(1, 4):  # the third is a ZIP in a ZIP
                _, root = await issue_and_fetch(provider, document(reference=reference(number)))
            assert root.findtext("DLHDon/TTChung/KHHDon") == "C26TAA"
            assert root.findtext("DLHDon/TTChung/SHDon") == "3"
            assert root.findtext("DLHDon/TTChung/NLap") == today_vn().isoformat()
            assert root.findtext("DLHDon/NDHDon/NBan/MST") == TAX_CODE
            assert root.findtext("DLHDon/NDHDon/NMua/HVTNMHang") == "Nguyễn Thị Hậu"
            assert len(root.findtext("MCCQT") or "") == 34
            pay = root.find("DLHDon/NDHDon/TToan")
            assert pay is not None
            assert [pay.findtext(name) for name in ("TgTCThue", "TgTThue", "TgTTTBSo")] == ["120000", "10000", "130000"]
            assert sum(int(one.text or 0) for one in root.iter("ThTien")) == 2 * 120000  # lines, and totals by rate
            assert sum(int(one.text or 0) for one in root.iter("TThue")) == 10000

    run(journey())


def test_a_sales_invoice_and_its_corrections_are_issued(simulator: Simulator) -> None:
    line = Line(name="Phở", unit="bát", quantity="2", unit_price="50000", vat_rate="", net=100000, vat=0, gross=100000)
    money = {"by_rate": (), "net": 100000, "vat": 0, "total": 100000}
    sale = document(**SALES, lines=(line,), **money)
    original = Related(form="2", symbol="C26TBB", number="1", issue_date=today_vn(), reason="Trả lại một bát")
    back = replace(line, quantity="-1", net=-50000, gross=-50000)
    adjustment = replace(
        sale,
        reference=reference(2),
        kind="adjustment",
        relates_to=original,
        lines=(back,),
        net=-50000,
        total=-50000,
    )

    async def journey() -> None:
        async with viettel(simulator.url, **SALES) as provider:
            _, root = await issue_and_fetch(provider, sale)
            assert root.find(".//TSuat") is None
            _, root = await issue_and_fetch(provider, adjustment)
            assert root.findtext("DLHDon/NDHDon/TToan/TgTTTBSo") == "-50000"
            assert root.findtext("DLHDon/TTChung/TTHDLQuan/SHDCLQuan") == "1"
            await provider.issue(replace(sale, reference=reference(3), kind="replacement", relates_to=original))

    run(journey())
    assert simulator.summary()["total"] == 150000


def test_files_may_not_be_ready(simulator: Simulator) -> None:
    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            await provider.issue(document())
            invoice = await found(provider)
            simulator.add_fault("file-not-ready", count=1)
            with pytest.raises(Unavailable):
                await provider.files(invoice)
            await provider.files(invoice)
            with pytest.raises(Unavailable):
                await provider.files(replace(invoice, number="99"))

    run(journey())
