"""Requests to addresses that users name: webhooks and notifications go out by the same sender.

`addresses` refuses where nothing may be sent, `sender` makes one attempt, `jobs` keeps each receiver's work
to one task, so that a receiver that hangs holds up its own work alone.
"""
