"""Questions: what agents ask people, answered once, from wherever a person is."""
