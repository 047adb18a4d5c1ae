from datetime import date

# The day of the suite, chaos and the bench, whenever they run: symbols and tax rates are those of its year.
DAY = date(2026, 9, 15)
