from merchants.api.admin_units import AdminUnits
from merchants.api.configurations import Configurations
from merchants.api.merchants import Merchants

__all__ = ["AdminUnits", "Configurations", "Merchants"]
