from merchants.models.accounts import ProviderAccount
from merchants.models.admin_units import AdministrativeUnit
from merchants.models.merchants import CLAIM_WINDOW_MAX, Logo, Merchant, TaxInfo
from merchants.models.sync import ConsumerLag, MerchantChange, Quarantine

__all__ = [
    "CLAIM_WINDOW_MAX",
    "AdministrativeUnit",
    "ConsumerLag",
    "Logo",
    "Merchant",
    "MerchantChange",
    "ProviderAccount",
    "Quarantine",
    "TaxInfo",
]
