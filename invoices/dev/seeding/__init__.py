"""`manage.py seed`: a database as large as a year's, in minutes: invented merchants and invoices by COPY."""
