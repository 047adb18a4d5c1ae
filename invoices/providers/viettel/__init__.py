from invoices.providers.viettel.adapter import Viettel

__all__ = ["Viettel"]
