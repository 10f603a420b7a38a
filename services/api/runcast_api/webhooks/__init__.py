"""Webhooks: a project's events, sent to addresses that its owners name (Standard Webhooks).

`hooks` keeps them, `outbox` finds what is to be sent by a cursor into the event log, `sending` sends it, and
`addresses` refuses where nothing may be sent.
"""
