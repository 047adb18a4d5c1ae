"""`manage.py seed`: generated merchants and invoices, written by COPY: a year's database in minutes."""
