from datetime import date

# The day on which the suite, chaos and the bench take place, whenever they run: its symbols and rates are that year's.
DAY = date(2026, 9, 15)
