"""The event log: state and numbers in one transaction, frames, publishing, history."""
