"""The endpoints of the simulated vendor that change nothing: look-up, list, templates, files."""

import base64
import time
from typing import Any

from aiohttp import web

from invoices.dev.simulator import files
from invoices.dev.simulator.answers import WRONG_SELLER, Refuse, json_answer
from invoices.dev.simulator.faults import Fault, Mode
from invoices.dev.simulator.ledger import DAY_MS, VN_OFFSET_MS, Ledger, Tenant


def search(ledger: Ledger, tenant: Tenant, query: dict[str, str], fault: Fault | None, refuse: Refuse) -> web.Response:
    now, row = time.time(), ledger.find_by_key(query.get("supplierTaxCode", ""), query.get("transactionUuid", ""))
    lag = fault.seconds or 0 if fault and fault.mode == Mode.LOOKUP_LAG else 0
    if row is None or row.series.owner != tenant.tax_code or now < row.at + lag:
        return refuse("NOT_FOUND_DATA", "Không tìm thấy dữ liệu")
    result = {
        "supplierTaxCode": row.series.owner,
        "invoiceNo": row.invoice_no,
        "reservationCode": row.lookup_code,
        "issueDate": row.day * DAY_MS - VN_OFFSET_MS,
        "status": "Hóa đơn đã phát hành",
        "exchangeStatus": row.status(now),
        "exchangeDes": "MST người mua không tồn tại" if row.rejected else None,
        "codeOfTax": row.code(now) or None,
    }
    return json_answer({"errorCode": None, "description": None, "transactionUuid": row.key, "result": [result]})


def list_invoices(tenant: Tenant, tax_code: str, query: dict[str, Any], refuse: Refuse) -> web.Response:
    if tax_code != tenant.tax_code:
        return refuse(*WRONG_SELLER)
    if query["pageNum"] < 1:
        return json_answer({"code": 500, "message": "GENERAL", "data": None}, 500)  # as the real vendor does
    first, last = query["startDate"], query["endDate"]
    rows = [row for one in tenant.series.values() for row in one.rows if first <= f"{row.issue_date}" <= last]
    size, start = query["rowPerPage"], (query["pageNum"] - 1) * query["rowPerPage"]
    page = [
        {
            "invoiceNo": row.invoice_no,
            "templateCode": row.series.template,
            "total": row.total,
            "transactionUuid": row.key,
        }
        for row in rows[start : start + size]
    ]
    return json_answer({"errorCode": None, "description": None, "totalRow": len(rows), "invoices": page})


def list_templates(tenant: Tenant) -> web.Response:
    rows = [
        {
            "templateCode": one.template,
            "invoiceSeri": one.symbol,
            "invoiceType": one.form,
            "status": int(one.active),
        }
        for one in tenant.series.values()
    ]
    return json_answer({"errorCode": None, "description": None, "template": rows})


def read_file(
    ledger: Ledger, tenant: Tenant, query: dict[str, Any], fault: Fault | None, refuse: Refuse
) -> web.Response:
    row = ledger.find_by_number(tenant.tax_code, query.get("templateCode", ""), query.get("invoiceNo", ""))
    if row is None or (fault and fault.mode == Mode.FILE_NOT_READY):
        return refuse("INVOICE_NOT_FOUND", "Không tìm thấy hóa đơn")
    code = row.code(time.time())
    if query.get("fileType") == "PDF":
        name, content = f"{row.invoice_no}.pdf", files.render_pdf(tenant, row, code)
    else:
        name = f"{row.invoice_no}.zip"
        content = files.zip_xml(files.render_xml(tenant, row, code), row.invoice_no, nested=row.number % 3 == 0)
    encoded = base64.b64encode(content).decode()
    return json_answer({"errorCode": 200, "description": None, "fileName": name, "fileToBytes": encoded})
