"""The next step of an invoice after a send or a look-up. Pure functions: a locked row and an answer in, a Step out."""
