"""Webhooks: a project's events, sent to addresses that its owners name (Standard Webhooks).

`hooks` keeps them, `outbox` finds what is to be sent by a cursor into the event log, and `sending` sends
it, by the sender of `runcast_api.outgoing`.
"""
