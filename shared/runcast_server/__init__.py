"""What two or more of the services need: settings, database, event log, bus, sign-in, errors."""
