"""Accounts: who may enter, with which password or token, for how long, and what each sees."""
