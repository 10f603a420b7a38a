"""People and what they hold: sessions, invitations, memberships, keys, share links, and an audit log."""
