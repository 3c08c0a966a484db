"""Accounts, top-ups, rules and subscriptions as data: who may change what, and how a change is checked and kept."""
