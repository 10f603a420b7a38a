"""Notifications: what people want to be told where they are, once, and only while it still holds.

`schemas` and `preferences` are what a person sets; `matters` reads from events what there is to tell;
`planning` finds it by a cursor for each project into the event log; `deciding` looks at each message when it
is due (does it still hold, is it quiet now, does the person see it anyway, were there too many); `messages`
says it; `ntfy`, `webpush` and `apprise` send it, by the sender of `runcast_api.outgoing`; `answer_links` lets
its buttons answer. `notifier` runs all that.
"""
